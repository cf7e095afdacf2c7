"""Elastic moves, grey values and noise: each against a formula or another library; the options of conf/augment."""

from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from scipy.stats import kstest
from torch import Tensor

from tandem.config.instantiate import build
from tandem.config.shipped import config_folder
from tandem.data.augment import Augment
from tandem.data.augment.augment import LIMITS
from tandem.data.augment.fields import mix, normal_field, uniform_field
from tandem.data.augment.greys import blur
from tandem.data.augment.places import FOLD, NUMBERS, affine_grid, displacements
from tandem.data.batch import MISSING_PIXEL, Batch
from tandem.data.loading.loading import DRAWS
from tandem.errors import ConfigError

NEW = ("elastic", "gamma", "saturation", "blur", "speckle", "noise")
DEGREES: dict[str, float] = {"gamma": 0.5, "saturation": 0.5, "blur": 0.03, "speckle": 0.2, "noise": 0.1}


@cache
def option(name: str) -> Augment:
    """An option of conf/augment as training gets it."""
    config = OmegaConf.to_container(OmegaConf.load(config_folder() / "augment" / f"{name}.yaml"))
    assert isinstance(config, dict)
    made = build({str(key): value for key, value in config.items()}, "augment")
    assert isinstance(made, Augment)
    return made


def random_batch(seed: int, count: int = 3, channels: int = 1, size: tuple[int, int] = (24, 30)) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    values = torch.tensor([0, 1, MISSING_PIXEL], dtype=torch.uint8)
    return Batch(
        image=torch.rand(count, channels, *size, generator=generator),
        mask=values[torch.randint(3, (count, 2, *size), generator=generator)],
        draw=torch.rand(count, DRAWS, generator=generator),
    )


def with_draw(image: Tensor, **numbers: float) -> Batch:
    """A batch whose draws are one half but for those given as `n8=0.1`."""
    draw = torch.full((len(image), DRAWS), 0.5)
    for name, value in numbers.items():
        draw[:, int(name[1:])] = value
    return Batch(image=image, draw=draw)


# -------------------------------------------------------------------------------------------------------------- options


@pytest.mark.parametrize("name", ["light", "medical", "strong"])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), channels=st.sampled_from([1, 3]), size=st.sampled_from([(24, 30), (28, 28), (9, 5)]))
def test_an_option_keeps_types_values_and_rows_apart(
    name: str, seed: int, channels: int, size: tuple[int, int]
) -> None:
    batch = random_batch(seed, 3, channels, size)
    augment = option(name)
    state = torch.random.get_rng_state()
    changed = augment(batch)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(augment(batch)["image"], changed["image"])
    assert changed["image"].dtype == torch.float32
    assert changed["image"].shape == batch["image"].shape
    assert changed["image"].min() >= 0
    assert changed["image"].max() <= 1
    assert changed["mask"].dtype == torch.uint8
    assert set(changed["mask"].unique().tolist()) <= set(batch["mask"].flatten().tolist())
    alone = augment(Batch(image=batch["image"][1:2], mask=batch["mask"][1:2], draw=batch["draw"][1:2]))
    assert torch.allclose(alone["image"][0], changed["image"][1], atol=1e-5)
    assert (alone["mask"][0] != changed["mask"][1]).float().mean() < 0.01  # a pixel on the edge may round either way
    missing = augment(batch | {"mask": torch.full_like(batch["mask"], MISSING_PIXEL)})
    assert bool((missing["mask"] == MISSING_PIXEL).all())


@pytest.mark.parametrize("name", ["light", "medical", "strong"])
@pytest.mark.parametrize(("kind", "error"), [(torch.float64, 1e-4), (torch.float16, 1e-3), (torch.bfloat16, 1e-2)])
def test_precision_changes_digits_alone(name: str, kind: torch.dtype, error: float) -> None:
    batch = random_batch(5)
    batch["image"] = batch["image"].to(kind)  # as trainer.precision has it; the draws stay, which only half would round
    batch["draw"] = batch["draw"].to(torch.promote_types(kind, torch.float32))
    changed, usual = option(name)(batch), option(name)(batch | {key: batch[key].float() for key in ("image", "draw")})
    assert changed["image"].dtype == kind
    assert changed["mask"].dtype == torch.uint8
    assert (changed["image"].double() - usual["image"].double()).abs().quantile(0.99) < error
    assert (changed["mask"] != usual["mask"]).float().mean() < 0.01


@pytest.mark.parametrize("name", ["light", "medical", "strong"])
def test_image_and_mask_move_together(name: str) -> None:
    rows, columns = torch.arange(64).view(-1, 1), torch.arange(64).view(1, -1)
    disc = ((rows - 30) ** 2 + (columns - 34) ** 2 < 14**2).expand(16, 1, 64, 64)
    batch = Batch(image=disc.float(), mask=disc.to(torch.uint8), draw=random_batch(1, 16)["draw"])
    changed = option(name)(batch)
    middle = (changed["image"].amin((1, 2, 3)) + changed["image"].amax((1, 2, 3))) / 2
    shown, mask = changed["image"] > middle.view(-1, 1, 1, 1), changed["mask"] == 1
    overlap = (shown & mask).sum((1, 2, 3)) / (shown | mask).sum((1, 2, 3))
    assert overlap.min() > 0.9


def test_medical_is_never_upside_down() -> None:
    assert option("medical").flips == (0.5, 0.0)
    assert option("strong").flips == (0.5, 0.5)


# -------------------------------------------------------------------------------------------------------------- elastic


@pytest.mark.parametrize("size", [(28, 28), (64, 40), (7, 1), (100, 128)])
def test_the_grid_is_that_of_torch(size: tuple[int, int]) -> None:
    matrix = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.affine_grid(matrix, [5, 1, *size], align_corners=False)
    assert torch.allclose(affine_grid(matrix, size), expected, rtol=0, atol=2e-6)


def test_displacements_are_those_of_the_control_points_at_most() -> None:
    numbers = 2 * torch.rand(50, NUMBERS, generator=torch.Generator().manual_seed(0)) - 1
    assert displacements(numbers, (40, 30)).abs().max() < 1
    assert torch.allclose(displacements(torch.ones(1, NUMBERS), (40, 30)), torch.ones(1, 40, 30, 2))


def test_a_straight_ramp_of_control_points_gives_a_straight_ramp() -> None:
    """A B-spline reproduces lines, so a ramp over the points is a ramp over the pixels."""
    points = torch.arange(7.0).expand(1, 2, 7, 7).reshape(1, NUMBERS)
    across = displacements(points, (3, 40))[0, 1, :, 0]
    assert torch.allclose(across.diff(), torch.full((39,), 4 / 40), atol=1e-5)


def test_no_image_folds_over_itself() -> None:
    side = 64
    signs = torch.randint(0, 2, (400, NUMBERS), generator=torch.Generator().manual_seed(0)) * 2.0 - 1
    down, across = (axis / side for axis in torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij"))
    where = displacements(FOLD * signs, (side, side)) + torch.stack([across, down], dim=-1)
    right, below = where[:, :-1, 1:] - where[:, :-1, :-1], where[:, 1:, :-1] - where[:, :-1, :-1]
    assert (right[..., 0] * below[..., 1] - right[..., 1] * below[..., 0]).min() > 0


def test_an_elastic_change_moves_pixels_by_its_share_at_most_and_depends_on_the_rows_own_numbers() -> None:
    ramp = torch.linspace(0.2, 0.8, 50).expand(2, 1, 50, 50)
    batch = with_draw(ramp, n12=1 - 2**-24)
    batch["draw"][1, 14] = 0.7
    away = (Augment(elastic=0.1)(batch)["image"] - ramp).abs()
    within = away[..., 10:40] / (0.6 * 50 / 49)  # as a share of the image
    assert 0.01 < within.max() < 0.1
    assert not torch.allclose(away[0], away[1], atol=0.01)
    assert torch.allclose(Augment(elastic=0.1)(with_draw(ramp, n12=0.0))["image"], ramp, atol=1e-5)


# ---------------------------------------------------------------------------------------------------------- grey values


@pytest.mark.parametrize(("number", "exponent"), [(0.0, 1 / 1.5), (0.5, 1.0), (1 - 2**-24, 1.5)])
def test_gamma_is_an_exponent(number: float, exponent: float) -> None:
    image = torch.rand(1, 1, 6, 6)
    changed = Augment(gamma=0.5)(with_draw(image, n8=number))["image"]
    assert torch.allclose(changed, image**exponent, atol=1e-5)


@pytest.mark.parametrize("number", [0.0, 0.3, 0.9])
def test_saturation_is_that_of_torchvision(number: float) -> None:
    from torchvision.transforms.v2.functional import adjust_saturation

    image = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    changed = Augment(saturation=0.8)(with_draw(image, n13=number))["image"]
    expected = adjust_saturation(image, 1 + 0.8 * (2 * number - 1))
    assert torch.allclose(changed, expected, atol=2e-4)  # torchvision rounds the weights of red, green and blue
    grey = image[:, :1]
    assert torch.allclose(Augment(saturation=0.8)(with_draw(grey, n13=number))["image"], grey)


def test_blur_is_that_of_kornia_for_each_row() -> None:
    from kornia.filters import gaussian_blur2d

    image = torch.rand(3, 2, 20, 17, generator=torch.Generator().manual_seed(0))
    sigma = torch.tensor([0.4, 1.0, 1.9])
    ours = blur(image, sigma.view(-1, 1, 1, 1), 2.0)
    theirs = gaussian_blur2d(image, (13, 13), sigma[:, None].expand(3, 2), border_type="replicate")
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert torch.allclose(blur(image, torch.zeros(3, 1, 1, 1), 2.0), image)


def test_noise_adds_and_speckle_multiplies() -> None:
    dark, bright = torch.full((1, 1, 100, 100), 0.2), torch.full((1, 1, 100, 100), 0.6)
    for augment, expected in ((Augment(noise=0.1), (0.05, 0.05)), (Augment(speckle=0.1), (0.01, 0.03))):
        found = [augment(with_draw(image))["image"] - image for image in (dark, bright)]
        assert [float(part.std()) for part in found] == pytest.approx(expected, rel=0.05)
        assert [float(part.mean()) for part in found] == pytest.approx([0, 0], abs=0.002)


@pytest.mark.parametrize("name", DEGREES)
def test_a_grey_image_in_three_channels_stays_grey_and_masks_stay_untouched(name: str) -> None:
    batch = random_batch(0)
    batch["image"] = batch["image"].expand(-1, 3, -1, -1)
    knob: dict[str, Any] = {name: DEGREES[name]}
    changed = Augment(**knob)(batch)
    assert torch.allclose(changed["image"][:, 0], changed["image"][:, 2], atol=1e-6)
    assert changed["mask"] is batch["mask"]


# -------------------------------------------------------------------------------------------------------- random fields


def test_fields_have_their_distribution() -> None:
    pair = torch.rand(4, 2, generator=torch.Generator().manual_seed(0))
    assert kstest(uniform_field(pair, 0, 20_000).flatten().numpy(), "uniform").pvalue > 0.01
    assert kstest(normal_field(pair, 0, 20_000).flatten().numpy(), "norm").pvalue > 0.01


def test_fields_of_rows_purposes_and_neighbours_are_independent() -> None:
    pair = torch.stack([torch.arange(6) * 2**-24, torch.zeros(6)], dim=1)  # as alike as numbers can be
    fields = torch.cat([uniform_field(pair, purpose, 20_000) for purpose in range(3)])
    shifted = torch.cat([fields, fields.roll(1, 1), fields.roll(128, 1)])
    assert (torch.corrcoef(shifted) - torch.eye(len(shifted))).abs().max() < 0.035
    assert torch.equal(uniform_field(pair[2:3], 1, 50)[0], uniform_field(pair, 1, 99)[2, :50])


def test_no_number_is_0_or_1_and_no_normal_one_infinite(monkeypatch: pytest.MonkeyPatch) -> None:
    for word in (0, 2**32 - 1):
        with monkeypatch.context() as patched:
            patched.setattr("tandem.data.augment.fields.mix", lambda words, word=word: torch.full_like(words, word))
            assert 0 < float(uniform_field(torch.zeros(1, 2), 0, 1)) < 1
            assert bool(normal_field(torch.zeros(1, 2), 0, 1).isfinite().all())


def test_mixing_loses_no_word() -> None:
    words = torch.arange(2**32 - 2**16, 2**32)
    assert len(set(mix(words).tolist())) == len(words)
    assert 0 <= int(mix(words).min()) <= int(mix(words).max()) < 2**32


# ----------------------------------------------------------------------------------------------------------- bad values


@pytest.mark.parametrize("name", NEW)
@pytest.mark.parametrize("value", [-0.01, float("nan"), 11.0])
def test_a_setting_out_of_range_is_named(name: str, value: float) -> None:
    knob: dict[str, Any] = {name: value}
    with pytest.raises(ConfigError, match=rf"^{name} is {value}, but must lie in \[0, {LIMITS[name]:g}\]$"):
        Augment(**knob)

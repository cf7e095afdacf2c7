"""Image and mask move together; each row by its own numbers and nothing else."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tandem.data.augment import Augment
from tandem.data.batch import MISSING_PIXEL, Batch
from tandem.data.loading.loading import DRAWS
from tandem.errors import ConfigError

MIDDLE = 0.5  # the number that turns, shifts, brightens by nothing
ALL: dict[str, Any] = {
    "horizontal_flip": 0.5,
    "vertical_flip": 0.5,
    "rotate": 180.0,
    "scale": (0.7, 1.4),
    "shift": 0.2,
    "brightness": 0.2,
    "contrast": 0.3,
}
EACH: list[dict[str, Any]] = [{name: value} for name, value in ALL.items()]


def batch_of(images: Tensor, masks: Tensor | None = None, **numbers: float) -> Batch:
    """A batch whose draws are all `MIDDLE` but for those given as `n3=0.1` (the fourth)."""
    count = len(images)
    draw = torch.full((count, DRAWS), MIDDLE)
    for name, value in numbers.items():
        draw[:, int(name[1:])] = value
    found = Batch(image=images, draw=draw, label=torch.zeros(count, dtype=torch.int64), id=["a"] * count)
    if masks is not None:
        found["mask"] = masks
    return found


def blob(size: tuple[int, int], centre: tuple[float, float], radius: float) -> Tensor:
    """(1, 1, H, W) bool: a disc, smooth enough to be turned."""
    rows = torch.arange(size[0]).view(-1, 1)
    columns = torch.arange(size[1]).view(1, -1)
    return ((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2)[None, None]


def overlap(one: Tensor, other: Tensor) -> float:
    """Intersection over union."""
    return float((one & other).sum() / (one | other).sum())


def measures(mask: Tensor) -> tuple[float, float, float, float]:
    """Centre (row, column) and mean extent along each axis of what a (1, 1, H, W) mask shows."""
    places = mask[0, 0].nonzero().double()
    spread = 2 * places.std(0, correction=0)
    return (*places.mean(0).tolist(), *spread.tolist())


# -------------------------------------------------------------------------------------------------------- doing nothing


def test_without_options_nothing_changes() -> None:
    batch = batch_of(torch.rand(2, 1, 6, 9), torch.randint(0, 2, (2, 1, 6, 9), dtype=torch.uint8))
    changed = Augment()(batch)
    assert changed["image"] is batch["image"]
    assert changed["mask"] is batch["mask"]


@pytest.mark.parametrize("size", [(6, 9), (32, 32), (17, 5)])
def test_the_middle_of_every_range_is_the_image_itself(size: tuple[int, int]) -> None:
    masks = torch.randint(0, 2, (3, 1, *size), dtype=torch.uint8)
    masks[0, 0, 0] = MISSING_PIXEL
    batch = batch_of(torch.rand(3, 2, *size), masks)
    changed = Augment(rotate=180, scale=(0.5, 2), shift=0.5, brightness=0.9, contrast=0.9)(batch)
    assert torch.allclose(changed["image"], batch["image"], atol=1e-5)
    assert torch.equal(changed["mask"], masks)


def test_other_entries_pass_through_and_the_batch_itself_stays() -> None:
    batch = batch_of(torch.rand(2, 1, 8, 8), torch.ones(2, 1, 8, 8, dtype=torch.uint8), n0=0.1)
    before = {"image": batch["image"].clone(), "mask": batch["mask"].clone()}
    changed = Augment(**{**ALL, "rotate": 90})(batch)
    assert changed["id"] is batch["id"]
    assert changed["label"] is batch["label"]
    assert torch.equal(batch["image"], before["image"])
    assert torch.equal(batch["mask"], before["mask"])


def test_a_batch_without_masks_is_augmented_too() -> None:
    assert "mask" not in Augment(horizontal_flip=1)(batch_of(torch.rand(1, 1, 4, 4)))


# ---------------------------------------------------------------------------------------------------------------- moves


@pytest.mark.parametrize(("setting", "axis"), [("horizontal_flip", 3), ("vertical_flip", 2)])
@pytest.mark.parametrize("size", [(6, 9), (16, 16), (7, 1)])
def test_a_flip_is_exact(setting: str, axis: int, size: tuple[int, int]) -> None:
    masks = torch.randint(0, 2, (2, 1, *size), dtype=torch.uint8)
    batch = batch_of(torch.rand(2, 3, *size), masks)
    flip: dict[str, Any] = {setting: 1.0}
    changed = Augment(**flip)(batch)
    assert torch.allclose(changed["image"], batch["image"].flip(axis), atol=1e-5)
    assert torch.equal(changed["mask"], masks.flip(axis))
    none: dict[str, Any] = {setting: 0.0, "rotate": 1e-9}
    assert torch.equal(Augment(**none)(batch)["mask"], masks)


def test_a_flip_has_the_probability_asked_for() -> None:
    images = torch.zeros(1000, 1, 1, 2)
    images[..., 1] = 1
    batch = batch_of(images)
    batch["draw"][:, 0] = torch.linspace(0, 0.999, 1000)
    changed = Augment(horizontal_flip=0.3)(batch)["image"]
    assert int((changed[:, 0, 0, 0] > 0.5).sum()) == pytest.approx(300, abs=1)


def test_a_quarter_turn_of_a_square_is_exact() -> None:
    image = torch.rand(1, 1, 8, 8)
    mask = torch.randint(0, 2, (1, 1, 8, 8), dtype=torch.uint8)
    for number, turns in ((0.0, 1), (0.999999999, -1)):
        changed = Augment(rotate=90)(batch_of(image, mask, n2=number))
        assert torch.allclose(changed["image"], torch.rot90(image, -turns, (2, 3)), atol=1e-5)
        assert torch.equal(changed["mask"], torch.rot90(mask, -turns, (2, 3)))


@pytest.mark.parametrize("size", [(40, 80), (80, 40), (60, 60)])
@pytest.mark.parametrize("number", [0.0, 0.2, 0.4, 0.7, 0.9])
def test_a_turned_circle_stays_a_circle_whatever_the_aspect_ratio(size: tuple[int, int], number: float) -> None:
    middle = ((size[0] - 1) / 2, (size[1] - 1) / 2)
    disc, window = blob(size, middle, 12), blob(size, middle, 18)  # beyond it, there are mirrored discs
    changed = Augment(rotate=180)(batch_of(disc.float(), disc.to(torch.uint8), n2=number))
    turned = (changed["mask"] == 1) & window
    assert overlap(turned, disc) > 0.92
    row, column, tall, wide = measures(turned)
    assert row == pytest.approx(middle[0], abs=0.3)
    assert column == pytest.approx(middle[1], abs=0.3)
    assert tall == pytest.approx(wide, rel=0.02)


def test_a_turn_goes_by_the_angle_asked_for_in_pixels_of_the_image() -> None:
    """A disc 10 pixels right of the middle lands 10 pixels away from it, at the angle of the turn."""
    middle = (19.5, 39.5)
    disc, window = blob((40, 80), (middle[0], middle[1] + 10), 4), blob((40, 80), middle, 16)
    for number in (0.1, 0.25, 0.6, 0.95):
        changed = Augment(rotate=90)(batch_of(disc.float(), disc.to(torch.uint8), n2=number))
        row, column, *_ = measures((changed["mask"] == 1) & window)
        angle = math.radians(90 * (2 * number - 1))
        assert row - middle[0] == pytest.approx(-10 * math.sin(angle), abs=0.3)
        assert column - middle[1] == pytest.approx(10 * math.cos(angle), abs=0.3)


@pytest.mark.parametrize(("number", "factor"), [(0.0, 0.8), (1 - 2**-24, 1.25), (MIDDLE, 1.0)])
def test_a_scale_above_1_shows_the_lesion_larger(number: float, factor: float) -> None:
    disc = blob((64, 64), (31.5, 31.5), 16)
    changed = Augment(scale=(0.8, 1.25))(batch_of(disc.float(), disc.to(torch.uint8), n3=number))
    assert float((changed["mask"] == 1).sum() / disc.sum()) == pytest.approx(factor**2, rel=0.03)


@pytest.mark.parametrize(("place", "axis"), [("n4", 1), ("n5", 0)])
def test_a_shift_is_a_share_of_the_image(place: str, axis: int) -> None:
    size = (40, 80)
    disc = blob(size, (19.5, 39.5), 6)
    before = measures(disc)[axis]
    for number, share in ((0.0, 0.25), (0.75, -0.125)):
        moved = Augment(shift=0.25)(batch_of(disc.float(), disc.to(torch.uint8), **{place: number}))["mask"]
        assert measures(moved)[axis] - before == pytest.approx(share * size[axis], abs=0.3)
        assert measures(moved)[1 - axis] == pytest.approx(measures(disc)[1 - axis], abs=0.3)


@settings(max_examples=60, deadline=None)
@given(
    numbers=st.lists(st.floats(0, 1, exclude_max=True, width=32), min_size=DRAWS, max_size=DRAWS),
    size=st.sampled_from([(48, 48), (40, 64), (64, 40)]),
    row=st.floats(0.35, 0.65),
    column=st.floats(0.35, 0.65),
)
def test_image_and_mask_move_together(numbers: list[float], size: tuple[int, int], row: float, column: float) -> None:
    disc = blob(size, (row * size[0], column * size[1]), 9)
    batch = batch_of(0.2 + 0.6 * disc.float(), disc.to(torch.uint8))
    batch["draw"][:] = torch.tensor(numbers)
    moves = {name: value for name, value in ALL.items() if name not in ("brightness", "contrast")}
    changed = Augment(**moves)(batch)
    image, mask = changed["image"] > 0.5, changed["mask"] == 1
    apart = int((image != mask).sum())
    assert apart <= max(6, 0.1 * int((image | mask).sum())), (
        "they differ at the edge only, also of a disc that is cut off"
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([*EACH, ALL]))
def test_masks_keep_their_values_and_types(seed: int, settings_of: dict[str, Any]) -> None:
    generator = torch.Generator().manual_seed(seed)
    masks = torch.tensor([0, 1, MISSING_PIXEL], dtype=torch.uint8)[
        torch.randint(3, (4, 1, 12, 15), generator=generator)
    ]
    batch = batch_of(torch.rand(4, 1, 12, 15, generator=generator), masks)
    batch["draw"] = torch.rand(4, DRAWS, generator=generator)
    changed = Augment(**settings_of)(batch)
    assert changed["mask"].dtype == torch.uint8
    assert set(changed["mask"].unique().tolist()) <= {0, 1, MISSING_PIXEL}
    assert changed["image"].dtype == torch.float32
    assert changed["image"].shape == batch["image"].shape
    assert changed["image"].min() >= 0
    assert changed["image"].max() <= 1 + 1e-6


def test_a_wholly_missing_mask_stays_wholly_missing() -> None:
    masks = torch.full((2, 1, 16, 16), MISSING_PIXEL, dtype=torch.uint8)
    batch = batch_of(torch.rand(2, 1, 16, 16), masks, n0=0.1, n2=0.1, n3=0.9, n4=0.9)
    assert torch.equal(Augment(**ALL)(batch)["mask"], masks)


# ---------------------------------------------------------------------------------------------------------- grey values


def test_brightness_adds_and_contrast_stretches_about_the_mean() -> None:
    image = torch.linspace(0.3, 0.7, 16).view(1, 1, 4, 4)
    brighter = Augment(brightness=0.2)(batch_of(image, n7=0.75))["image"]
    assert torch.allclose(brighter, image + 0.1, atol=1e-6)
    steeper = Augment(contrast=0.5)(batch_of(image, n6=1 - 2**-24))["image"]
    assert torch.allclose(steeper, (image - 0.5) * 1.5 + 0.5, atol=1e-6)
    flat = Augment(contrast=1)(batch_of(image, n6=0.0))["image"]
    assert torch.allclose(flat, torch.full_like(image, 0.5), atol=1e-6)


def test_grey_values_stay_in_range_and_masks_untouched() -> None:
    masks = torch.ones(1, 1, 4, 4, dtype=torch.uint8)
    changed = Augment(brightness=1, contrast=1)(batch_of(torch.rand(1, 1, 4, 4), masks, n6=0.99, n7=0.99))
    assert changed["mask"] is masks
    assert changed["image"].max() == 1


def test_the_mean_is_each_images_own() -> None:
    images = torch.stack([torch.full((1, 4, 4), 0.2), torch.full((1, 4, 4), 0.8)])
    assert torch.allclose(Augment(contrast=1)(batch_of(images, n6=0.1))["image"], images, atol=1e-6)


# --------------------------------------------------------------------------------------------------------- independence


@pytest.mark.parametrize("settings_of", [*EACH, ALL], ids=str)
def test_a_row_depends_on_no_other(settings_of: dict[str, Any]) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(4, 2, 20, 14, generator=generator)
    masks = torch.randint(0, 2, (4, 1, 20, 14), generator=generator).to(torch.uint8)
    draw = torch.rand(4, DRAWS, generator=generator)
    augment = Augment(**settings_of)
    together = augment(Batch(image=images, mask=masks, draw=draw))
    for row in range(4):
        alone = augment(Batch(image=images[row : row + 1], mask=masks[row : row + 1], draw=draw[row : row + 1]))
        assert torch.allclose(alone["image"][0], together["image"][row], atol=1e-6)
        assert torch.equal(alone["mask"][0], together["mask"][row])


def test_no_generator_is_used() -> None:
    state = torch.random.get_rng_state()
    batch = batch_of(torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)), n0=0.2, n2=0.3)
    one, other = Augment(**ALL)(batch), Augment(**ALL)(batch)
    assert torch.equal(one["image"], other["image"])
    assert torch.equal(torch.random.get_rng_state(), state)


def test_there_are_no_parameters_and_no_checkpoint_state() -> None:
    assert Augment(**ALL).state_dict() == {}


# ----------------------------------------------------------------------------------------------------------- bad values


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"horizontal_flip": 1.5}, r"^horizontal_flip is 1\.5, but must lie in \[0, 1\]$"),
        ({"vertical_flip": -0.1}, r"^vertical_flip is -0\.1"),
        ({"rotate": 181}, r"^rotate is 181, but must lie in \[0, 180\]$"),
        ({"rotate": math.nan}, r"^rotate is nan"),
        ({"shift": 2}, r"^shift is 2"),
        ({"brightness": 1.1}, r"^brightness is 1\.1"),
        ({"contrast": -1}, r"^contrast is -1"),
        (
            {"scale": (1.2, 0.8)},
            r"^scale is \(1\.2, 0\.8\), but must be \[smallest, largest\] with 0 < smallest <= largest$",
        ),
        ({"scale": [0, 1]}, r"^scale is \[0, 1\]"),
        ({"scale": [1]}, r"^scale is \[1\]"),
        ({"scale": [1, 2, 3]}, r"^scale is \[1, 2, 3\]"),
        ({"scale": 1.2}, r"^scale is 1\.2"),
        ({"scale": None}, r"^scale is None"),
        ({"scale": [1, math.inf]}, r"^scale is \[1, inf\]"),
        ({"scale": [math.nan, 1]}, r"^scale is \[nan, 1\]"),
    ],
    ids=str,
)
def test_a_setting_out_of_range_is_named(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Augment(**setting)

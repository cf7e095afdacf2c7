"""The discriminator: sizes, what a score sees, and that pictures do not meet in it."""

import pytest
import torch

from tandem.adversarial import PatchDiscriminator
from tandem.errors import ConfigError, DataError


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (32, 48), (33, 57), (512, 512)], ids=str)
@pytest.mark.parametrize("channels", [2, 4])
def test_pictures_of_any_size_and_number_of_channels(size: tuple[int, int], channels: int) -> None:
    found = PatchDiscriminator(channels, width=4)(torch.rand(2, channels, *size))
    assert found.shape == (2, 1, size[0] // 8, size[1] // 8)


@pytest.mark.parametrize(("depth", "patch"), [(2, 18), (3, 38), (4, 78)])
def test_a_score_sees_a_patch_of_the_documented_size(depth: int, patch: int) -> None:
    torch.manual_seed(0)
    made = PatchDiscriminator(1, width=4, depth=depth).double()
    # normalisation looks at the whole picture, a little
    made.layers = torch.nn.Sequential(*(layer for layer in made.layers if not isinstance(layer, torch.nn.GroupNorm)))
    picture = torch.rand(1, 1, 128, 128, dtype=torch.float64, requires_grad=True)
    scores = made(picture)
    centre = scores.shape[-1] // 2
    (gradient,) = torch.autograd.grad(scores[0, 0, centre, centre], picture)
    rows = gradient[0, 0].abs().sum(1).nonzero().flatten()
    assert int(rows[-1] - rows[0]) + 1 == patch


def test_a_picture_s_score_does_not_depend_on_its_batch() -> None:
    made = PatchDiscriminator(2, width=8)
    batch = torch.rand(5, 2, 32, 32)
    alone = torch.cat([made(picture[None]) for picture in batch])
    torch.testing.assert_close(made(batch), alone)


@pytest.mark.parametrize("knobs", [{"width": 0}, {"depth": 0}, {"depth": -1}], ids=str)
def test_numbers_out_of_range_are_refused(knobs: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=rf"{next(iter(knobs))} is .*, but must be at least 1"):
        PatchDiscriminator(2, **knobs)


def test_pictures_that_are_too_small_are_refused() -> None:
    with pytest.raises(DataError, match=r"images of 7 x 40 are too small for a discriminator .* from 8; lower its"):
        PatchDiscriminator(2)(torch.rand(1, 2, 7, 40))

"""A decoder of the user's own: what it is given, what is refused, and that the trial changes nothing."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tandem.errors import ConfigError
from tandem.network import make_network
from tandem.network.decoder import make_decoder


class Pyramid(nn.Module):
    """A sum of all levels that this backbone has, at the stride of the largest map below the image."""

    def __init__(self, channels: Sequence[int], strides: Sequence[int], width: int = 8) -> None:
        super().__init__()
        self.out_channels = width
        self.given = (tuple(channels), tuple(strides))
        self.used = [level for level, count in enumerate(channels) if level and count]
        self.mix = nn.ModuleList([nn.Conv2d(channels[level], width, 1) for level in self.used])
        self.norm = nn.BatchNorm2d(width)
        self.drop = nn.Dropout(0.5)

    def forward(self, levels: list[Tensor]) -> Tensor:
        """The list of maps to one."""
        size = levels[self.used[0]].shape[-2:]
        maps = [layer(levels[level]) for layer, level in zip(self.mix, self.used, strict=True)]
        total = torch.stack([nn.functional.interpolate(one, size) for one in maps]).sum(0)
        found: Tensor = self.drop(self.norm(total))
        return found


@pytest.mark.parametrize(
    ("backbone", "depth", "stride", "levels", "strides"),
    [
        ("small_cnn", 5, 32, (1, 16, 32, 64, 96, 128), (1, 2, 4, 8, 16, 32)),
        ("small_cnn", 3, 32, (1, 16, 32, 64), (1, 2, 4, 8)),
        ("resnet18", 5, 8, (1, 64, 64, 128, 256, 512), (1, 2, 4, 8, 8, 8)),
        ("convnext_atto", 5, 32, (1, 0, 40, 80, 160, 320), (1, 2, 4, 8, 16, 32)),
    ],
)
def test_it_is_given_the_channels_and_strides_that_the_encoder_has(
    backbone: str, depth: int, stride: int, levels: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    network = make_network(1, True, backbone, Pyramid, depth=depth, output_stride=stride).eval()
    assert isinstance(network.decoder, Pyramid)
    assert network.decoder.given == (levels, strides)
    with torch.no_grad():
        maps = network.encoder(torch.rand(1, 1, 64, 96))
        features = network(torch.rand(1, 1, 50, 90))
    assert [tuple(level.shape[1:]) for level in maps] == [
        (count, 64 // stride, 96 // stride) for count, stride in zip(levels, strides, strict=True)
    ]
    assert features.dense is not None
    assert features.dense.shape[:2] == (1, network.channels.dense) == (1, 8)


def test_without_a_dense_task_it_is_not_made() -> None:
    assert make_network(1, False, "small_cnn", Pyramid).decoder is None


def test_the_trial_changes_neither_modes_nor_statistics_nor_random_numbers() -> None:
    torch.manual_seed(0)
    alone = Pyramid((1, 4, 8), (1, 2, 4))
    expected = torch.rand(3)
    torch.manual_seed(0)
    decoder, width = make_decoder(Pyramid, (1, 4, 8), (1, 2, 4))
    assert torch.equal(torch.rand(3), expected)
    assert width == 8
    assert all(part.training for part in decoder.modules())
    for (key, one), two in zip(decoder.state_dict().items(), alone.state_dict().values(), strict=True):
        assert torch.equal(one, two), key


def made(out: Any, answer: Callable[[list[Tensor]], Any]) -> Callable[..., nn.Module]:
    """Makes a decoder with this `out_channels` and this `forward`."""

    class Made(nn.Module):
        out_channels = out

        def forward(self, levels: list[Tensor]) -> Any:
            return answer(levels)

    return lambda channels, strides: Made()


def zeros(*shape: int) -> Callable[[list[Tensor]], Tensor]:
    return lambda levels: torch.zeros(*shape)


def fails(levels: list[Tensor]) -> Tensor:
    raise IndexError("list index\n out of range")


BAD = {
    "no module": (lambda channels, strides: zeros, r"\(function\) is not a torch\.nn\.Module"),
    "no channels": (
        lambda channels, strides: nn.Identity(),
        r"\(Identity\): out_channels is None; set it",
    ),
    "channels in words": (made("8", zeros(1, 8, 16, 24)), r"\(Made\): out_channels is '8'"),
    "none": (made(0, zeros(1, 0, 16, 24)), r"out_channels is 0"),
    "other channels": (made(8, zeros(1, 4, 16, 24)), r"forward returns \(1, 4, 16, 24\), but must return .*channels=8"),
    "a list": (made(8, lambda levels: levels), r"forward returns list, but must return a tensor"),
    "a vector": (made(8, zeros(1, 8)), r"forward returns \(1, 8\)"),
    "turned": (made(8, zeros(1, 8, 24, 16)), r"for an image of 32 x 48; keep the aspect ratio of the image"),
    "nothing left": (made(8, zeros(1, 8, 0, 0)), r"keep the aspect ratio of the image"),
    "failing": (made(8, fails), r"forward fails in a trial: IndexError: list index out of range"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_one_is_refused_in_one_line(name: str) -> None:
    make, message = BAD[name]
    with pytest.raises(ConfigError, match=rf"^network\.decoder .*{message}") as caught:
        make_decoder(make, (1, 4, 8), (1, 2, 4))  # type: ignore[arg-type]  # some are wrong on purpose
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("decoder", "options", "message"),
    [
        (
            Pyramid,
            {"decoder_channels": [8]},
            "network.decoder_options (decoder_channels) are for a decoder",
        ),
        ({"width": 8}, None, "network.decoder is {'width': 8}, but must be the name of a decoder or have a _target_"),
        (None, None, "network.decoder is None"),
    ],
)
@pytest.mark.parametrize("dense", [True, False])
def test_a_wrong_choice_is_refused(decoder: Any, options: Any, message: str, dense: bool) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        make_network(1, dense, "small_cnn", decoder, options)

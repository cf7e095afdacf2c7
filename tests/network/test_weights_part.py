"""`network.weights` takes the encoder of another run, or its whole network."""

from pathlib import Path

import pytest
import torch

from tandem.errors import ConfigError
from tandem.network import make_network


def network(seed: int, decoder: str = "unet", **options: object) -> torch.nn.Module:
    """A small network with random weights of its own."""
    torch.manual_seed(seed)
    channels = {"decoder_channels": [16, 8, 8, 8, 8]} if decoder == "unet" else {}
    return make_network(1, True, "small_cnn", decoder, decoder_options=channels, **options)  # type: ignore[arg-type]


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """The checkpoint of a run, as far as the network is concerned."""
    file = tmp_path / "best.ckpt"
    state = {f"network.{key}": value for key, value in network(1).state_dict().items()}
    torch.save({"state_dict": state}, file)
    return file


@pytest.mark.parametrize(("part", "same"), [("encoder", {"encoder"}), ("network", {"encoder", "decoder"})])
def test_the_part_that_is_asked_for_is_taken(part: str, same: set[str], trained: Path) -> None:
    source, taken = network(1), network(2, weights=str(trained), weights_part=part)
    for name in ("encoder", "decoder"):
        first, second = (dict(one.get_submodule(name).named_parameters()) for one in (source, taken))
        assert all(torch.equal(first[key], second[key]) for key in first) == (name in same)


def test_what_does_not_fit_is_refused(trained: Path) -> None:
    for options, message in (
        ({"weights_part": "network"}, "needs network.weights=RUN/best.ckpt"),
        ({"weights_part": "heads", "weights": str(trained)}, "must be one of encoder, network"),
        (
            {"weights_part": "network", "weights": str(trained), "decoder": "fpn"},
            "is not a checkpoint of a run with this decoder",
        ),
    ):
        with pytest.raises(ConfigError, match=message):
            network(0, **options)

"""A network of the user's own: what it must offer, and what is assumed where it offers no more."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tandem.errors import ConfigError
from tandem.network import FeatureChannels, Features, make_network
from tandem.network.protocol import begin_epoch, check_network, network_stride, normalisation


class Plain(nn.Module):
    """One convolution; `fault` defines its error."""

    def __init__(self, fault: str = "", **more: Any) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.fault = fault
        self.channels: Any = FeatureChannels(deep=4, dense=4)
        self.seen: list[tuple[int, ...]] = []
        for key, value in more.items():
            setattr(self, key, value)

    def forward(self, image: Tensor) -> Any:
        """Images to `Features`, or to something else."""
        self.seen.append(tuple(image.shape))
        found = self.norm(self.layer(image))
        size = (image.shape[-2], image.shape[-1])
        answers = {
            "tensor": found,
            "shallow": Features(found[:, :3], found, size, size),
            "vector": Features(found.mean((2, 3)), found, size, size),
            "no dense": Features(found, None, size, size),
            "cut": Features(found, found, (size[0] - 1, size[1]), size),
            "size": Features(found, found, size, (1, 1)),
        }
        if self.fault == "failing":
            raise KeyError("stem")
        return answers.get(self.fault, Features(found, found, size, size))


@pytest.mark.parametrize(("size", "stride", "side"), [(None, None, 128), (None, 8, 32), (48, 8, 48), (48, None, 48)])
def test_a_good_one_is_given_back_as_it_was(size: int | None, stride: int | None, side: int) -> None:
    offered: dict[str, Any] = {} if stride is None else {"stride": stride}
    network = Plain(**offered)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    assert check_network(network, 1, True, size) is network
    assert torch.equal(torch.rand(2), expected)
    assert network.seen == [(2, 1, side, side)]
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


BAD: list[tuple[Any, str]] = [
    (SimpleNamespace(), r"^network \(SimpleNamespace\) is not a torch\.nn\.Module"),
    (nn.Identity(), r"^network \(Identity\): channels is None; set it to a tandem\.network\.FeatureChannels"),
    (Plain(channels=(4, 4)), r"^network \(Plain\): channels is \(4, 4\)"),
    (Plain(stride=0), r"stride is 0, but must be an integer above 0; leave it out for 32$"),
    (Plain(stride=2.5), r"stride is 2\.5"),
    (Plain(begin_epoch=3), r"begin_epoch is not a method"),
    (Plain("failing"), r"^network \(Plain\): forward fails in a trial: KeyError: 'stem'$"),
    (Plain("tensor"), r"forward returns Tensor, but must return tandem\.network\.Features$"),
    (Plain("shallow"), r"a map 'deep' of shape \(2, 3, 64, 64\), but channels\.deep promises \(2, 4, H, W\)$"),
    (Plain("vector"), r"a map 'deep' of shape \(2, 4\), but"),
    (Plain("no dense"), r"a map 'dense' of shape NoneType, but channels\.dense promises \(2, 4, H, W\)$"),
    (Plain("cut"), r"padded=\(63, 64\)"),
    (Plain("size"), r"forward returns size=\(1, 1\)"),
]


@pytest.mark.parametrize(("network", "message"), BAD)
def test_a_bad_one_is_refused_in_one_line(network: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        check_network(network, 1, True, 64)
    assert "\n" not in str(caught.value)


def test_a_dense_map_is_asked_for_only_where_a_task_needs_one() -> None:
    assert check_network(Plain("no dense"), 1, False, 64)


def test_what_is_assumed_of_a_network_that_offers_no_more() -> None:
    network = Plain()
    begin_epoch(network, 3)
    assert network_stride(network) == 32
    assert normalisation(network) is None


def test_what_a_network_offers_is_used() -> None:
    begun: list[int] = []
    network = Plain(begin_epoch=begun.append, stride=8, mean=torch.tensor([[0.5]]), std=torch.tensor([[0.25]]))
    begin_epoch(network, 3)
    assert begun == [3]
    assert network_stride(network) == 8
    assert normalisation(network) == {"mean": [0.5], "std": [0.25]}


def test_the_shipped_network_keeps_the_protocol() -> None:
    network = make_network(3, True, "small_cnn", "unet", {"decoder_channels": [8, 8, 8, 8, 8]})
    assert check_network(network, 3, True, 50) is network
    assert network_stride(network) == 32
    assert normalisation(network) == {"mean": [0.5] * 3, "std": [0.5] * 3}

"""Normalisation, padding, one pass, and independence of the rest of the batch."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tandem.network import Network, make_network

UNET = {"decoder_channels": [16, 16, 8, 8, 8]}


class Echo(nn.Module):
    """Stands in for an encoder: remembers what it is given."""

    def __init__(self, channels: int, levels: int = 5, stride: int = 32) -> None:
        super().__init__()
        self.out_channels = [channels] * (levels + 1)
        self.output_stride = stride
        self.seen: list[Tensor] = []

    def forward(self, image: Tensor) -> list[Tensor]:
        self.seen.append(image)
        return [image, image]


@pytest.mark.parametrize("size", [(32, 64), (1, 1), (28, 28), (50, 70), (33, 95)])
def test_images_are_normalised_then_padded_by_repeating_the_edge(size: tuple[int, int]) -> None:
    encoder = Echo(2)
    network = Network(encoder, None, 0, [0.25, 0.5], [0.5, 2.0])
    image = torch.rand(3, 2, *size)
    features = network(image)
    expected = (image.numpy() - np.array([0.25, 0.5]).reshape(2, 1, 1)) / np.array([0.5, 2.0]).reshape(2, 1, 1)
    room = [(0, 0), (0, 0), (0, -size[0] % 32), (0, -size[1] % 32)]
    expected = np.pad(expected, room, mode="edge")
    np.testing.assert_allclose(encoder.seen[0].numpy(), expected, rtol=1e-6, atol=1e-6)
    assert features.size == size
    assert features.padded == expected.shape[2:]


@pytest.mark.parametrize(("levels", "stride", "multiple"), [(5, 32, 32), (5, 8, 32), (3, 8, 8), (4, 16, 16)])
def test_what_the_padded_size_is_a_multiple_of(levels: int, stride: int, multiple: int) -> None:
    features = Network(Echo(1, levels, stride), None, 0, [0.5], [0.5])(torch.rand(1, 1, multiple + 1, 1))
    assert features.padded == (2 * multiple, multiple)


def test_images_whose_size_fits_pass_as_they_are() -> None:
    torch.manual_seed(0)
    network = make_network(1, True, "test_resnet", "unet", UNET).eval()
    image = torch.rand(2, 1, 64, 32)
    with torch.no_grad():
        features = network(image)
        pyramid = network.encoder((image - network.mean) / network.std)
        assert network.decoder is not None
        dense = network.decoder(pyramid)
    torch.testing.assert_close(features.deep, pyramid[-1], rtol=0, atol=1e-6)
    torch.testing.assert_close(features.dense, dense, rtol=0, atol=1e-5)


def test_one_pass_through_the_encoder_serves_both_maps() -> None:
    network = make_network(1, True, "test_resnet", "unet", UNET)
    calls: list[str] = []
    network.encoder.register_forward_hook(lambda *_: calls.append("encoder"))
    assert network.decoder is not None
    network.decoder.register_forward_hook(lambda *_: calls.append("decoder"))
    features = network(torch.rand(2, 1, 32, 32))
    assert features.dense is not None
    assert calls == ["encoder", "decoder"]


@pytest.mark.parametrize("backbone", ["mobilenetv2_050", "convnext_atto", "small_cnn"])
def test_in_evaluation_an_image_does_not_depend_on_the_rest_of_the_batch(backbone: str) -> None:
    torch.manual_seed(0)
    network = make_network(1, True, backbone, "unet", UNET)
    image = torch.rand(4, 1, 40, 40)
    with torch.no_grad():
        network(image)  # so that running statistics are none of the first
        network.eval()
        whole = network(image)
        for row in range(4):
            alone = network(image[row : row + 1])
            torch.testing.assert_close(alone.deep[0], whole.deep[row], rtol=1e-3, atol=1e-4)
            torch.testing.assert_close(alone.dense[0], whole.dense[row], rtol=1e-3, atol=1e-4)


def test_statistics_are_part_of_the_checkpoint() -> None:
    state = make_network(1, False, "test_resnet", "unet").state_dict()
    assert state["mean"].shape == state["std"].shape == (1, 1, 1, 1)


def test_dropout_takes_whole_channels_of_the_deepest_map_alone() -> None:
    torch.manual_seed(0)
    network = Network(Echo(400), None, 0, [0.0] * 400, [1.0] * 400, dropout=0.25)
    image = torch.ones(3, 400, 32, 32)
    deep = network(image).deep
    kept = deep.amax((2, 3)) > 0
    assert torch.equal(deep, kept[..., None, None] * image / 0.75)
    assert 0.65 < kept.float().mean() < 0.85
    assert torch.equal(network.eval()(image).deep, image)


def test_the_decoder_sees_the_same_dropped_map_as_the_heads() -> None:
    class Last(nn.Module):
        def forward(self, pyramid: list[Tensor]) -> Tensor:
            assert len(pyramid) == 2
            assert (pyramid[0] == 1).all(), "the other levels stay whole"
            return pyramid[-1]

    torch.manual_seed(0)
    features = Network(Echo(40), Last(), 40, [0.0] * 40, [1.0] * 40, dropout=0.5)(torch.ones(1, 40, 32, 32))
    assert features.dense is features.deep
    assert (features.deep == 0).any()

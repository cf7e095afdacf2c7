"""ResNet-18 for small images as a timm model."""

import pytest
import timm
import torch
from torch import Tensor, nn

from tandem.errors import ConfigError
from tandem.network import make_network, small_resnet


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_it_has_the_published_number_of_weights() -> None:
    small_resnet.register()
    small_resnet.register()
    assert count(timm.create_model("small_resnet18", num_classes=10)) == 11_173_962, "as for CIFAR-10, of many papers"
    assert count(timm.create_model("small_resnet18", num_classes=2, in_chans=1)) == 11_168_706


def test_its_maps_are_those_of_blocks_written_out() -> None:
    small_resnet.register()
    model = timm.create_model("small_resnet18", features_only=True, in_chans=1).eval()
    assert model.feature_info.reduction() == [1, 2, 4, 8]
    state = {name: value for name, value in model.state_dict().items() if "num_batches" not in name}
    x = torch.rand(2, 1, 28, 28)
    maps = model(x)
    assert [tuple(level.shape[1:]) for level in maps] == [(64, 28, 28), (128, 14, 14), (256, 7, 7), (512, 4, 4)]

    def conv(name: str, norm: str, image: Tensor, stride: int = 1) -> Tensor:
        weight = state[f"{name}.weight"]
        found = nn.functional.conv2d(image, weight, stride=stride, padding=weight.shape[-1] // 2)
        mean, var, scale, shift = (state[f"{norm}.{key}"] for key in ("running_mean", "running_var", "weight", "bias"))
        return nn.functional.batch_norm(found, mean, var, scale, shift)

    y = conv("stem.0", "stem.1", x).relu()
    for level, seen in enumerate(maps):
        for block in range(2):
            name, stride = f"layer{level}.{block}", 2 if level and not block else 1
            short = conv(f"{name}.downsample.0", f"{name}.downsample.1", y, stride) if stride == 2 else y
            inner = conv(f"{name}.conv1", f"{name}.bn1", y, stride).relu()
            y = (conv(f"{name}.conv2", f"{name}.bn2", inner) + short).relu()
        torch.testing.assert_close(seen, y, rtol=1e-4, atol=1e-5)


def test_it_classifies_by_itself_and_learns_with_a_decoder() -> None:
    small_resnet.register()
    model = timm.create_model("small_resnet18", num_classes=4, in_chans=1, widths=(4, 8, 8, 8), blocks=1)
    assert model(torch.rand(2, 1, 28, 28)).shape == (2, 4)
    options = {"widths": (4, 8, 8, 8), "blocks": 1}
    network = make_network(1, True, "small_resnet18", "unet", {"decoder_channels": [8, 8, 4]}, options, depth=3)
    assert network.stride == 8
    assert network.channels.dense == 4


def test_more_levels_than_it_has_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"maps up to stride 8, but network\.depth is 5; set network\.depth=3"
    ) as error:
        make_network(1, False, "small_resnet18", "unet")
    assert "\n" not in str(error.value)

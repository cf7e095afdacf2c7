"""ResNet-18 for small images, registered with timm as `small_resnet18`: its first maps are as large as the image."""

from typing import Any

import torch
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.resnet import BasicBlock
from torch import Tensor, nn

default_cfgs = generate_default_cfgs(
    {
        "small_resnet18.untrained": {
            "mean": (0.5,) * 3,
            "std": (0.5,) * 3,
            "first_conv": "stem.0",
            "classifier": "head",
        }
    }
)
"""See `tandem.network.small_cnn`."""


LEVELS = {"out_indices": (0, 1, 2, 3)}
"""The maps that timm gives as features."""


class SmallResNet(nn.Module):
    """Four stages of two residual blocks each; the strides are 1, 2, 4 and 8.

    timm's `resnet18` begins with a 7x7 convolution of stride 2 and max pooling, which leaves 1 x 1 of 28 px.
    Here one 3x3 convolution of stride 1 stands in their place, as is usual for images of 28 or 32 px: it is the
    network that MedMNIST's authors trained at 28 px. Weights are drawn as torch does by default, as theirs are.

    Source: He et al., Deep residual learning for image recognition, CVPR 2016; the stem is that of the networks for
    CIFAR-10 in their section 4.2.

    Args:
        num_classes: outputs of timm's classifier; tandem uses the features only.
        in_chans: number of image channels.
        widths: channels of the four stages.
        blocks: residual blocks of each stage.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        widths: tuple[int, ...] = (64, 128, 256, 512),
        blocks: int = 2,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.stem = nn.Sequential(
            nn.Conv2d(in_chans, widths[0], 3, padding=1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True)
        )
        self.feature_info = []
        channels = widths[0]
        for index, width in enumerate(widths):
            stride = 1 if index == 0 else 2
            first = BasicBlock(channels, width, stride, _shortcut(channels, width, stride))
            others = (BasicBlock(width, width) for _ in range(blocks - 1))
            self.add_module(f"layer{index}", nn.Sequential(first, *others))
            self.feature_info.append({"num_chs": width, "reduction": 2**index, "module": f"layer{index}"})
            channels = width
        self.head = nn.Linear(channels, num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """Maps (N, C, H, W) images to (N, num_classes) logits."""
        maps = self.stem(image)
        for info in self.feature_info:
            maps = self.get_submodule(str(info["module"]))(maps)
        return torch.as_tensor(self.head(maps.mean(dim=(2, 3))))


def _shortcut(channels: int, width: int, stride: int) -> nn.Module | None:
    if stride == 1 and channels == width:
        return None
    return nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))


def small_resnet18(pretrained: bool = False, **options: Any) -> nn.Module:
    """Builds the model; this is timm's entry point, and there are no pretrained weights."""
    model = build_model_with_cfg(SmallResNet, "small_resnet18", pretrained, feature_cfg=LEVELS, **options)
    assert isinstance(model, nn.Module)
    return model


def register() -> None:
    """Registers `small_resnet18` with timm; may be called repeatedly."""
    from timm.models import is_model

    if not is_model("small_resnet18"):
        register_model(small_resnet18)

"""A plain small CNN, known to timm as `small_cnn`: the network to compare a backbone with."""

from typing import Any

import torch
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

default_cfgs = generate_default_cfgs(
    {
        "small_cnn.untrained": {
            "mean": (0.5,) * 3,
            "std": (0.5,) * 3,
            "first_conv": "block0.0",
            "classifier": "head",
        }
    }
)
"""Where timm looks up a model's statistics, by this name, in the module that defines the model; the names of its first
and last layer let weights of other channels and classes be loaded."""


class SmallCNN(nn.Module):
    """Five blocks of two 3x3 convolutions, each block at half the size of the one before.

    Block b: `x -> pool(relu(norm(conv(relu(norm(conv(x)))))))`, strides 2, 4, 8, 16 and 32. No residual connection,
    no attention: what a course builds first.

    Args:
        num_classes: outputs of timm's own classifier; unused by tandem, which takes the features.
        in_chans: channels of the image.
        widths: channels of the five blocks.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        widths: tuple[int, ...] = (16, 32, 64, 96, 128),
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.feature_info = []
        channels = in_chans
        for index, width in enumerate(widths):
            self.add_module(f"block{index}", _block(channels, width))
            self.feature_info.append({"num_chs": width, "reduction": 2 ** (index + 1), "module": f"block{index}"})
            channels = width
        self.head = nn.Linear(channels, num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """(N, C, H, W) images to (N, num_classes) logits."""
        for info in self.feature_info:
            image = self.get_submodule(str(info["module"]))(image)
        return torch.as_tensor(self.head(image.mean(dim=(2, 3))))


def _block(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2, ceil_mode=True),
    )


def small_cnn(pretrained: bool = False, **options: Any) -> nn.Module:
    """Timm's entry point; there are no weights to load."""
    model = build_model_with_cfg(SmallCNN, "small_cnn", pretrained, feature_cfg={}, **options)
    assert isinstance(model, nn.Module)
    return model


def register() -> None:
    """Makes `small_cnn` known to timm; may be called again."""
    from timm.models import is_model

    if not is_model("small_cnn"):
        register_model(small_cnn)

"""A small plain CNN, registered with timm as `small_cnn`: a baseline for other backbones."""

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
"""timm looks up a model's statistics under this name, in the module that defines the model. With the names of the first
and last layer, timm can load weights for other numbers of channels and classes."""


class SmallCNN(nn.Module):
    """Five blocks of two 3x3 convolutions; each block halves the size of its input.

    Each block is `x -> pool(relu(norm(conv(relu(norm(conv(x)))))))`; the strides are 2, 4, 8, 16 and 32. There are no
    residual connections and no attention.

    Args:
        num_classes: outputs of timm's classifier; tandem uses the features only.
        in_chans: number of image channels.
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
        """Maps (N, C, H, W) images to (N, num_classes) logits."""
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
    """Builds the model; this is timm's entry point, and there are no pretrained weights."""
    model = build_model_with_cfg(SmallCNN, "small_cnn", pretrained, feature_cfg={}, **options)
    assert isinstance(model, nn.Module)
    return model


def register() -> None:
    """Registers `small_cnn` with timm; may be called repeatedly."""
    from timm.models import is_model

    if not is_model("small_cnn"):
        register_model(small_cnn)

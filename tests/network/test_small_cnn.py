"""The plain CNN as a timm model."""

import pytest
import timm
import torch

from tandem.network import small_cnn


def test_registering_twice_is_harmless() -> None:
    small_cnn.register()
    small_cnn.register()
    assert timm.is_model("small_cnn")


def test_its_maps_halve_five_times() -> None:
    small_cnn.register()
    model = timm.create_model("small_cnn", features_only=True, in_chans=2)
    assert model.feature_info.reduction() == [2, 4, 8, 16, 32]
    maps = model(torch.rand(1, 2, 64, 96))
    assert [tuple(level.shape[1:]) for level in maps] == [
        (width, 64 // stride, 96 // stride)
        for width, stride in zip((16, 32, 64, 96, 128), (2, 4, 8, 16, 32), strict=True)
    ]


@pytest.mark.parametrize(("classes", "widths"), [(4, (4, 8, 8, 8, 12)), (2, (4, 4, 4, 4, 4))])
def test_it_classifies_by_itself(classes: int, widths: tuple[int, ...]) -> None:
    small_cnn.register()
    model = timm.create_model("small_cnn", num_classes=classes, in_chans=1, widths=widths)
    assert model(torch.rand(2, 1, 33, 47)).shape == (2, classes)

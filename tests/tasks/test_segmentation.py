"""The head on the dense map."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tandem.data.datamodule import DataInfo
from tandem.losses.binary import BCE
from tandem.network import FeatureChannels, Features
from tandem.tasks import SegmentationTask
from tandem.tasks.segmentation import DenseHead


@pytest.mark.parametrize("scale", [1, 4, 8])
@pytest.mark.parametrize("size", [(64, 32), (50, 28)])
def test_logits_are_brought_to_the_padded_size_and_cut_to_the_picture(scale: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    head = DenseHead(5, 2)
    dense = torch.randn(3, 5, 64 // scale, 32 // scale)
    found = head(Features(dense, dense, (64, 32), size))
    assert found.shape == (3, 2, *size)
    expected = head.logits(dense)
    if scale > 1:
        expected = F.interpolate(expected, scale_factor=scale, mode="bilinear", align_corners=False)
    torch.testing.assert_close(found, expected[..., : size[0], : size[1]])


def test_without_a_decoder_the_head_says_what_it_needs() -> None:
    with pytest.raises(AssertionError, match="needs a network with a decoder"):
        DenseHead(5, 1)(Features(torch.zeros(1, 5, 1, 1), None, (32, 32), (32, 32)))


@pytest.mark.parametrize(
    ("mask", "labelled"),
    [
        (torch.zeros(2, 1, 2, 2), [True, True]),
        (torch.tensor([255, 255, 255, 255, 255, 255, 255, 0]).view(2, 1, 2, 2), [False, True]),
        (torch.tensor([255, 1, 1, 1, 255, 255, 255, 255], dtype=torch.uint8).view(2, 1, 2, 2), [True, False]),
    ],
)
def test_a_row_with_one_known_pixel_is_labelled(info: DataInfo, mask: Tensor, labelled: list[bool]) -> None:
    assert SegmentationTask("lesion", info, BCE()).labelled(mask).tolist() == labelled


def test_one_logit_for_each_pixel(info: DataInfo) -> None:
    task = SegmentationTask("lesion", info, BCE())
    task.attach(FeatureChannels(8, 4))
    dense = torch.randn(2, 4, 32, 32)
    assert task(Features(dense, dense, (32, 32), (30, 20))).shape == (2, 1, 30, 20)
    assert (task.kind, task.target, task.dense) == ("binary", "mask", True)

"""The head on the dense map."""

from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tandem.adversarial import Adversary, NonSaturating, PatchDiscriminator
from tandem.data.datamodule import DataInfo
from tandem.errors import ConfigError
from tandem.losses import Composite
from tandem.losses.binary import BCE, BCEFocal, Dice
from tandem.network import FeatureChannels, Features
from tandem.tasks import SegmentationTask
from tandem.tasks.dense import DenseHead


@pytest.mark.parametrize("scale", [1, 4, 8])
@pytest.mark.parametrize("size", [(64, 32), (50, 28)])
def test_logits_are_brought_to_the_padded_size_and_cut_to_the_image(scale: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    head = DenseHead(5, 2)
    dense = torch.randn(3, 5, 64 // scale, 32 // scale)
    found = head(Features(dense, dense, (64, 32), size))
    assert found.shape == (3, 2, *size)
    expected = head.logits(dense)
    if scale > 1:
        expected = F.interpolate(expected, scale_factor=scale, mode="bilinear", align_corners=False)
    torch.testing.assert_close(found, expected[..., : size[0], : size[1]])


def test_without_a_decoder_the_head_names_what_it_needs() -> None:
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


# --------------------------------------------------------------------------------------------------- with an adversary


def opposed(info: DataInfo, loss: Any = None, **options: Any) -> SegmentationTask:
    torch.manual_seed(0)
    adversary = Adversary(NonSaturating(), partial(PatchDiscriminator, width=4, depth=2), torch.optim.Adam, **options)
    task = SegmentationTask("lesion", info, loss or BCE(), adversary=adversary)
    task.attach(FeatureChannels(8, 4))
    return task


def batch() -> tuple[Tensor, dict[str, Tensor]]:
    """Logits and a batch of which one row has no mask."""
    rng = torch.Generator().manual_seed(0)
    mask = torch.randint(0, 2, (4, 1, 16, 16), generator=rng, dtype=torch.uint8)
    mask[1] = 255
    return torch.randn(4, 1, 16, 16, generator=rng), {"image": torch.rand(4, 1, 16, 16, generator=rng), "mask": mask}


def test_the_adversary_s_term_enters_the_loss_with_its_weight(info: DataInfo) -> None:
    task = opposed(info, weight=0.5)
    logits, given = batch()
    output = task.answer(logits, given)
    assert output is not None
    known = [0, 2, 3]
    assert task.adversary is not None
    term = task.adversary.term(given["image"][known], logits[known], given["mask"][known])
    assert output.losses["supervised"] == BCE()(logits, given["mask"])
    assert output.unweighted["adversarial"] == term
    assert output.losses["adversarial"] == 0.5 * term
    assert output.loss == output.losses["supervised"] + 0.5 * term


def test_validation_losses_are_those_without_an_adversary(info: DataInfo) -> None:
    logits, given = batch()
    for loss in (BCE(), BCEFocal()):
        plain, task = SegmentationTask("lesion", info, loss), opposed(info, loss)
        task.eval()
        for one in (plain, task):
            output = one.answer(logits, given)
            assert output is not None
            one.update(output, "val")
        assert task.compute("val") == plain.compute("val")


def test_what_the_adversary_does_is_logged_and_counted_by_rows(info: DataInfo) -> None:
    task = opposed(info, BCEFocal(), weight={"from": 0.0, "to": 1.0, "end": 4})
    task.begin_epoch(1)
    logits, given = batch()
    seen = []
    for rows in (slice(0, 4), slice(2, 3)):
        part = {name: value[rows] for name, value in given.items()}
        output = task.answer(logits[rows], part)
        assert output is not None
        task.update(output, "train")
        task.after_step(output, part)
        seen.append(output.unweighted["adversarial"])
    found = task.compute("train")
    g_loss = (3 * seen[0] + seen[1]) / 4
    names = {name.removeprefix("train/lesion/") for name in found}
    assert names == {
        "loss", "loss/bce", "loss/bce/unweighted", "weight/bce", "loss/focal", "loss/focal/unweighted", "weight/focal",
        "loss/adversarial", "loss/adversarial/unweighted", "weight/adversarial",
        "adversarial/d_loss", "adversarial/g_loss", "adversarial/d_accuracy",
    }  # fmt: skip
    assert found["train/lesion/weight/adversarial"] == 0.25
    assert found["train/lesion/adversarial/g_loss"].item() == pytest.approx(g_loss.item())
    assert found["train/lesion/loss/adversarial"].item() == pytest.approx(0.25 * g_loss.item())
    assert 0 <= found["train/lesion/adversarial/d_accuracy"] <= 1
    assert task.compute("train") == {}, "counted anew"


def test_a_batch_without_masks_does_not_train_the_adversary(info: DataInfo) -> None:
    logits, given = batch()
    given["mask"][:] = 255
    assert opposed(info).answer(logits, given) is None


@pytest.mark.parametrize("empty", [None, {}])
def test_none_is_no_adversary(info: DataInfo, empty: Any) -> None:
    task = SegmentationTask("lesion", info, BCE(), adversary=empty)
    assert task.adversary is None
    assert task.weights() == {}


def test_an_adversary_by_name_alone_is_refused(info: DataInfo) -> None:
    with pytest.raises(ConfigError, match=r"is invalid; write adversary@tasks\.lesion\.adversary=wgan_gp"):
        SegmentationTask("lesion", info, BCE(), adversary="wgan_gp")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["supervised", "adversarial"])
def test_a_term_with_a_reserved_name_is_refused(info: DataInfo, name: str) -> None:
    loss = Composite({name: Dice(), "bce": BCE()}, {name: 1, "bce": 1})
    with pytest.raises(ConfigError, match=f"no term of the loss may be called '{name}'; rename the term"):
        opposed(info, loss)


def test_dropout_takes_whole_channels_before_the_last_layer(info: DataInfo) -> None:
    torch.manual_seed(0)
    task = SegmentationTask("lesion", info, BCE(), dropout=0.25)
    task.attach(FeatureChannels(8, 400))
    seen: list[Tensor] = []
    task.head.logits.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))  # type: ignore[union-attr]
    dense = torch.ones(2, 400, 4, 4)
    features = Features(dense, dense, (4, 4), (4, 4))
    task(features)
    task.eval()(features)
    kept = seen[0].amax((2, 3)) > 0
    assert torch.equal(seen[0], kept[..., None, None] * dense / 0.75)
    assert 0.65 < kept.float().mean() < 0.85
    assert torch.equal(seen[1], dense)


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_a_dropout_out_of_range_is_refused(info: DataInfo, share: float) -> None:
    with pytest.raises(ConfigError, match=r"dropout is .*, but must lie in \[0, 1\)"):
        SegmentationTask("lesion", info, BCE(), dropout=share)

"""The area task reads its target from the mask."""

import pytest
import torch

from tandem.data.datamodule import DataInfo
from tandem.errors import ConfigError
from tandem.losses.binary import BCE
from tandem.losses.regression import MSE
from tandem.tasks import AreaTask

INFO = DataInfo("made up", ("normal", "lesion"), 1)


def masks() -> torch.Tensor:
    """A quarter of all, half of what is known, nothing, and no mask at all."""
    mask = torch.zeros(4, 1, 2, 2, dtype=torch.uint8)
    mask[0, 0, 0, 0] = 1
    mask[1, 0] = torch.tensor([[1, 0], [255, 255]])
    mask[3] = 255
    return mask


def test_the_target_is_the_share_of_foreground_among_known_pixels() -> None:
    task = AreaTask("regression", INFO, MSE())
    target = task.read_target({"mask": masks()})
    assert target is not None
    assert target[:3].tolist() == [[0.25], [0.5], [0.0]]
    assert task.labelled(target).tolist() == [True, True, True, False]


def test_a_row_without_a_mask_counts_nowhere() -> None:
    task = AreaTask("regression", INFO, MSE())
    guess = torch.tensor([[0.25], [0.25], [0.0], [torch.nan]], requires_grad=True)
    output = task.answer(guess, {"mask": masks()})
    assert output is not None
    assert output.loss.item() == pytest.approx(0.0625 / 3)
    output.loss.backward()  # type: ignore[no-untyped-call]
    assert guess.grad is not None
    assert guess.grad.isfinite().all()
    assert output.rows.tolist() == [0, 1, 2]


def test_a_data_set_without_masks_leaves_the_task_out() -> None:
    assert AreaTask("regression", INFO, MSE()).answer(torch.zeros(2, 1), {"label": torch.zeros(2)}) is None


def test_a_binary_loss_is_refused() -> None:
    with pytest.raises(ConfigError, match="is a binary loss, but this task needs a regression one"):
        AreaTask("regression", INFO, BCE())

"""From configured losses and a data set to numbers, and from numbers to files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tandem.data.samples import SPLITS, Samples
from tandem.errors import ConfigError, DataError
from tandem.explain_loss.explanation import Explanation, explain_losses
from tandem.explain_loss.masks import read_masks
from tandem.explain_loss.shares import of_region
from tandem.explain_loss.writer import write_explanation

EVIL = '<img src=x onerror=alert(1)> & "co"'
CONFIG: dict[str, Any] = {
    "name": "test",
    "data": {"_target_": "tandem.data.phantom.Phantom", "size": 32, "train": 6, "val": 6, "test": 6},
    "split": "val",
    "masks": 4,
    "batch_size": 3,
    "epoch": 0,
    "border": 1,
    "hard": 0.5,
    "half_trained": {"blur": 2.0, "signal": 3.0, "noise": 1.5, "seed": 0},
}


def node(name: str, **params: Any) -> dict[str, Any]:
    """The configuration of a loss."""
    return {"_target_": f"tandem.losses.{name}", **params}


def explained(nodes: Mapping[str, Any], **more: Any) -> Explanation:
    """The explanation of some losses on six small phantoms."""
    return explain_losses("test", nodes, {**CONFIG, **more})


def test_data_dependent_hyperparameters_are_resolved_on_the_masks_and_on_the_example() -> None:
    found = explained({"auto": node("binary.BalancedBCE", beta="auto"), "half": node("binary.BalancedBCE", beta=0.5)})
    (line,) = found.computed
    assert line.startswith("auto: beta = 0.9")
    assert of_region(found.example[0].gradients["auto"], "lesion") == pytest.approx(0.5)
    assert of_region(found.example[0].gradients["half"], "lesion") == pytest.approx(5 / 49)


def test_class_weights_work_on_two_classes() -> None:
    nodes = {
        "none": node("multiclass.CrossEntropy"),
        "listed": node("multiclass.CrossEntropy", weight=[1.0, 44 / 5]),
        "balanced": node("multiclass.CrossEntropy", weight="balanced"),
    }
    first = explained(nodes).example[0].gradients
    assert of_region(first["none"], "lesion") == pytest.approx(5 / 49)
    assert of_region(first["listed"], "lesion") == pytest.approx(0.5)
    assert of_region(first["balanced"], "lesion") == pytest.approx(0.5, rel=1e-6)
    with pytest.raises(ConfigError, match=r"three: weight has 3 numbers for 2 classes; .* shown on two"):
        explained({"three": node("multiclass.CrossEntropy", weight=[1.0, 2.0, 3.0])})


def test_weights_over_epochs_are_those_of_the_epoch() -> None:
    rising = {"from": 0.0, "to": 1.0, "end": 4}
    terms = {"dice": node("binary.Dice"), "bce": node("binary.BCE")}
    sum_of_two = {"sum": node("Composite", terms=terms, weights={"dice": 1.0, "bce": rising})}
    first, last = (explained(sum_of_two, epoch=epoch).curves["sum"][0] for epoch in (0, 4))
    dice = explained({"dice": node("binary.Dice")}).curves["dice"][0]
    assert first.loss == pytest.approx(dice.loss)
    assert all(later > sooner for sooner, later in zip(first.loss, last.loss, strict=True))


def test_regression_has_only_curves() -> None:
    found = explained({"mse": node("regression.MSE")}, data={"_target_": "nothing.is.read"})
    assert (found.masks, found.moments, found.example) == ("", [], [])


def test_losses_of_two_kinds_or_of_none_are_refused() -> None:
    with pytest.raises(ConfigError, match="losses of several kinds"):
        explained({"bce": node("binary.BCE"), "mse": node("regression.MSE")})
    with pytest.raises(ConfigError, match="SupCon has no curve"):
        explained({"supcon": node("embedding.SupCon")})
    with pytest.raises(ConfigError, match=r"^loss: _target_ 'torch\.nn\.BCELoss' is not allowed; expected: a loss"):
        explained({"torch": {"_target_": "torch.nn.BCELoss"}})


class Given:
    """A source of given masks; its images and labels are not used."""

    name, channels = "given", 1
    classes = ()

    def __init__(self, masks: Tensor) -> None:
        self.masks = masks

    def load(self) -> dict[str, Samples]:
        n, _, height, width = self.masks.shape
        images = torch.zeros(n, 1, height, width, dtype=torch.uint8)
        labels = torch.full((n,), -100)
        return {
            split: Samples(images, labels, self.masks, tuple(f"{split}/{row}" for row in range(n))) for split in SPLITS
        }


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the configured data a source of given masks, and reads them."""

    def read(masks: Tensor, most: int = 100) -> Any:
        monkeypatch.setattr("tandem.explain_loss.masks.build", lambda *_: Given(masks))
        return read_masks({}, "val", most)

    return read


def test_missing_masks_are_left_out_and_channels_are_separate_questions(given: Any) -> None:
    masks = torch.zeros(3, 2, 4, 4, dtype=torch.uint8)
    masks[0, 1, 0, :3] = 1
    masks[0, 1, 3] = 255
    masks[1, 0] = 255
    masks[2] = 255
    found = given(masks)
    assert found.all == len(found.masks) == 3
    assert found.counts == (16 + 9 + 16, 3)


def test_of_several_classes_all_but_the_background_are_lesion(given: Any) -> None:
    found = given(torch.tensor([[[[0, 1, 2, 255]]]], dtype=torch.uint8))
    assert found.masks.flatten().tolist() == [0, 1, 1, 255]


def test_masks_are_limited_and_evenly_spaced(given: Any) -> None:
    masks = torch.zeros(9, 1, 1, 9, dtype=torch.uint8)
    for row in range(9):
        masks[row, 0, 0, : row + 1] = 1
    found = given(masks, most=3)
    assert (found.masks == 1).flatten(1).sum(1).tolist() == [1, 5, 9]
    assert found.all == 9


@pytest.mark.parametrize(
    ("masks", "what"),
    [
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), "none of 2 masks shows a lesion"),
        (torch.ones(2, 1, 4, 4, dtype=torch.uint8), "none of 2 masks shows background"),
        (torch.full((2, 1, 4, 4), 255, dtype=torch.uint8), "none of 0 masks shows a lesion"),
        (torch.zeros(2, 0, 4, 4, dtype=torch.uint8), "none of 0 masks shows a lesion"),
    ],
    ids=["empty", "full", "missing", "no masks at all"],
)
def test_data_without_lesions_are_refused(given: Any, masks: Tensor, what: str) -> None:
    with pytest.raises(DataError, match=what):
        given(masks)


@pytest.mark.full
def test_the_same_numbers_give_the_same_files_and_names_are_shown_and_not_run(tmp_path: Path) -> None:
    nodes = {EVIL: node("binary.Focal"), "dice": node("binary.Dice")}
    explanation = explain_losses(EVIL, nodes, CONFIG)
    first, second = (write_explanation(explanation, tmp_path / folder) for folder in ("one", "two"))
    assert [path.name for path in first] == ["explain_loss.html", "explain_loss.png", "curves.csv", "shares.csv"]
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes()
    page = first[0].read_text(encoding="utf-8")
    assert "&lt;img src=x" in page
    assert "<img src=x" not in page
    assert "<script" not in page
    assert not [word for word in ("http:", "https:", "url(", "@import") if word in page]
    assert "The dashed curves of dice are for the 7 x 7 image" in page

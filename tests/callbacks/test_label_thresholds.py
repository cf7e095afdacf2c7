"""Thresholds of questions about whole images, in real runs, against scikit-learn on all probabilities at once."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.metrics import f1_score, precision_score, recall_score
from torch import Tensor, nn
from torch.utils.data import DataLoader

from tandem.balance import FixedWeights
from tandem.callbacks import ThresholdSweep
from tandem.data.batch import MISSING_LABEL, Batch
from tandem.data.datamodule import DataInfo
from tandem.losses.binary import BCE
from tandem.metrics import logit_thresholds
from tandem.module import MultiTaskModule
from tandem.network import FeatureChannels, Features, Network
from tandem.reports.figures import sweep_figure
from tandem.tasks import YesNoTask

Make = Callable[..., Any]
CLASSES = ("normal", "benign", "malignant")
LESION, MALIGNANT = {"lesion": ["benign", "malignant"]}, {"malignant": ["malignant"]}


class Pixels(nn.Module):
    """Returns the image unchanged."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = FeatureChannels(1, 1)
        self.scale = nn.Parameter(torch.ones(()))

    def begin_epoch(self, epoch: int) -> None:
        """Nothing is frozen."""

    def forward(self, image: Tensor) -> Features:
        return Features(image * self.scale, None, (1, 1), (1, 1))


class OnePixel(nn.Module):
    """A head that hands on each channel's only pixel."""

    def forward(self, features: Features) -> Tensor:
        return features.deep.flatten(1)


class MirrorQuestions(YesNoTask):
    def make_head(self, channels: FeatureChannels) -> nn.Module:
        return OnePixel()


def module(questions: dict[str, list[str]]) -> MultiTaskModule:
    """Its logits are its images, one channel for each question."""
    return MultiTaskModule(
        network=cast(Network, Pixels()),
        tasks={"yes_no": MirrorQuestions("yes_no", DataInfo("made up", CLASSES, 1), BCE(), questions)},
        balance=FixedWeights({"yes_no": 1.0}, ("yes_no",)),
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.0),
    )


def rows(seed: int, channels: int, count: int = 150) -> list[Batch]:
    """Some labels are unknown; the questions' probabilities are low, as those of rare classes are."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(0, 3, (count,), generator=generator)
    logits = label[:, None] * 1.5 - 4 + torch.randn(count, channels, generator=generator)
    label[::9] = MISSING_LABEL
    images = logits[:, :, None, None]
    return [
        Batch(image=images[part], label=label[part], id=[str(row) for row in part])
        for part in torch.split(torch.arange(count), 40)
    ]


def answers(
    batches: list[Batch], channel: int, yes: list[str]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
    label = torch.cat([batch["label"] for batch in batches]).numpy()
    p = torch.sigmoid(torch.cat([batch["image"] for batch in batches])[:, channel, 0, 0]).numpy()
    known = label != MISSING_LABEL
    return np.isin(label[known], [CLASSES.index(name) for name in yes]), p[known]


def best(truth: npt.NDArray[np.bool_], p: npt.NDArray[np.float32], score: Callable[..., float]) -> float:
    """The threshold with the highest score; of equal ones the nearest to a half, then the lower."""
    grid = logit_thresholds().numpy()
    scores = np.array([round(score(truth, p >= threshold), 12) for threshold in grid])
    top = grid[scores == scores.max()]
    return float(min(top, key=lambda t: (round(abs(float(t) - 0.5), 6), t)))


def f1(truth: npt.NDArray[np.bool_], answer: npt.NDArray[np.bool_]) -> float:
    return 2 * float((truth & answer).sum()) / max(1, int(truth.sum() + answer.sum()))


def youden(truth: npt.NDArray[np.bool_], answer: npt.NDArray[np.bool_]) -> float:
    return float(answer[truth].mean() - answer[~truth].mean())


def strict(truth: npt.NDArray[np.bool_], answer: npt.NDArray[np.bool_]) -> float:
    """Sensitivity where the specificity is at least 0.95."""
    specificity = 1 - answer[~truth].mean()
    return float(answer[truth].mean()) if specificity >= 0.95 else float(specificity) - 1


def feed(batches: list[Batch]) -> DataLoader[Batch]:
    return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "score"),
    [
        ({}, f1),
        ({"objective": "youden"}, youden),
        ({"tasks": {"yes_no": {"objective": "sensitivity", "specificity": 0.95}}, "objective": "iou"}, strict),
    ],
    ids=["f1", "youden", "sensitivity"],
)
def test_a_question_s_threshold_is_the_best_over_all_probabilities(
    options: dict[str, Any], score: Callable[..., float], trainer: Make
) -> None:
    val, model = rows(1, 1), module(MALIGNANT)
    sweep = ThresholdSweep(**options)
    run = trainer(sweep)
    run.fit(model, feed(rows(0, 1)), feed(val))
    truth, p = answers(val, 0, ["malignant"])
    chosen = best(truth, p, score)
    assert model.tasks["yes_no"].threshold.item() == chosen
    found = {key.removeprefix("val/yes_no/"): float(value) for key, value in run.callback_metrics.items()}
    answer = p >= np.float32(chosen)
    expected = {
        "threshold": chosen,
        "f1": f1_score(truth, answer),
        "f1_at_0.5": f1_score(truth, p >= 0.5),
        "ppv": precision_score(truth, answer),
        "sensitivity": recall_score(truth, answer),
        "specificity": recall_score(~truth, ~answer),
        "youden": youden(truth, answer),
    }
    assert {key: found[key] for key in expected} == pytest.approx(expected, abs=1e-6)
    curve = sweep.curves["val/yes_no"]
    assert len(curve["thresholds"]) < 130
    assert round(chosen, 6) in curve["thresholds"]
    assert len(sweep_figure(curve, chosen).axes[0].lines) == 4


def test_each_question_has_its_own_threshold_and_the_mean_is_logged(trainer: Make, tmp_path: Path) -> None:
    val, model = rows(1, 2), module({**LESION, **MALIGNANT})
    run = trainer(ThresholdSweep())
    run.fit(model, feed(rows(0, 2)), feed(val))
    found = {key: float(value) for key, value in run.callback_metrics.items()}
    scores = []
    for channel, (name, yes) in enumerate({**LESION, **MALIGNANT}.items()):
        truth, p = answers(val, channel, yes)
        chosen = best(truth, p, f1)
        assert model.tasks["yes_no"].threshold[channel].item() == chosen
        scores.append(f1(truth, p >= np.float32(chosen)))
        assert found[f"val/yes_no/{name}/f1"] == pytest.approx(scores[-1], abs=1e-6)
    assert found["val/yes_no/f1"] == pytest.approx(math.fsum(scores) / 2, abs=1e-6)
    assert "val/yes_no/threshold" not in found


def test_a_stored_threshold_is_applied_and_never_fitted(trainer: Make, tmp_path: Path) -> None:
    val, test, model = rows(1, 1), rows(2, 1), module(MALIGNANT)
    run = trainer(ThresholdSweep())
    run.fit(model, feed(rows(0, 1)), feed(val))
    run.save_checkpoint(tmp_path / "last.ckpt")
    stored = model.tasks["yes_no"].threshold.item()
    again = module(MALIGNANT)
    coarse = ThresholdSweep(exact=False)  # another grid than the threshold's
    (found,) = trainer(coarse).test(
        again, feed(test), ckpt_path=tmp_path / "last.ckpt", weights_only=True, verbose=False
    )
    truth, p = answers(test, 0, ["malignant"])
    assert stored == best(*answers(val, 0, ["malignant"]), f1) != best(truth, p, f1)
    assert found["test/yes_no/f1"] == pytest.approx(f1(truth, p >= np.float32(stored)), abs=1e-6)
    assert again.tasks["yes_no"].threshold.item() == stored


def test_without_any_yes_nothing_is_known_and_the_threshold_stays_a_half(trainer: Make) -> None:
    val, model = rows(1, 1), module(MALIGNANT)
    for batch in val:
        batch["label"] = batch["label"].clamp(max=1)
    run = trainer(ThresholdSweep())
    run.fit(model, feed(rows(0, 1)), feed(val))
    assert run.callback_metrics["val/yes_no/f1"].isnan()
    assert not run.callback_metrics["val/yes_no/specificity"].isnan()
    assert model.tasks["yes_no"].threshold.item() == 0.5

"""Every logged metric against scikit-learn or a float64 loop, on inputs where libraries disagree or lose digits."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import sklearn.metrics as sk
import torch
from hydra.utils import get_class
from omegaconf import OmegaConf
from torch import Tensor

from tandem.config.shipped import config_folder
from tandem.metrics.regression import R2, MeanAbsoluteError, MeanSquaredError

Array = npt.NDArray[Any]
NAN = math.nan
RNG = np.random.default_rng(0)


def metric_of(option: str, name: str, **told: Any) -> Any:
    """A metric as its yaml makes it."""
    options: Any = OmegaConf.to_container(OmegaConf.load(config_folder() / "metrics" / f"{option}.yaml"))
    node = dict(options[name])
    node.pop("_partial_")
    return get_class(node.pop("_target_"))(**node, **told)


def value_of(metric: Any, predicted: Tensor, target: Tensor) -> list[float]:
    """Its value, counted in two batches where there are as many rows."""
    half = max(1, len(target) // 2)
    for part in (slice(0, half), slice(half, None)):
        if len(target[part]):
            metric.update(predicted[part], target[part])
    found: list[float] = metric.compute().double().reshape(-1).tolist()
    return found


def softmax(logits: Array) -> Tensor:
    return torch.softmax(torch.from_numpy(logits), 1).float()


# classes

TRUE = RNG.integers(0, 3, 60)
CLASSES: dict[str, tuple[Tensor, Array]] = {
    "usual": (softmax(RNG.normal(size=(60, 3)) + 1.5 * np.eye(3)[TRUE]), TRUE),
    "a class is absent": (softmax(RNG.normal(size=(60, 3))), TRUE % 2),
    "a class is neither there nor predicted": (softmax(RNG.normal(size=(60, 3)) - [0, 0, 99]), TRUE % 2),
    "one class": (softmax(RNG.normal(size=(60, 3))), TRUE * 0),
    "a constant answer": (softmax(np.tile([0.0, 2.0, 1.0], (60, 1))), TRUE),
    "ties": (softmax(RNG.integers(0, 2, (60, 3)).astype(float)), TRUE),
    "one row": (softmax(np.array([[0.0, 2.0, 1.0]])), np.array([1])),
    "one wrong row": (softmax(np.array([[0.0, 2.0, 1.0]])), np.array([0])),
    "half precision": (softmax(RNG.normal(size=(60, 3)) * 9).half().float(), TRUE),
}


def of_class(p: Array, y: Array, score: Callable[[Array, Array, Array], float], known: str = "true") -> list[float]:
    """A float64 score of each class against the rest, nan where it is not defined."""
    answer = p.argmax(1)
    found = []
    for c in range(3):
        there = (y == c).any() if known == "true" else (y == c).any() or (answer == c).any()
        found.append(score(y == c, answer == c, p[:, c].astype(np.float64)) if there else NAN)
    return found


def mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else NAN


def f1(true: Array, said: Array, p: Array) -> float:
    return 2 * float((true & said).sum()) / float(true.sum() + said.sum())


def iou(true: Array, said: Array, p: Array) -> float:
    return float((true & said).sum()) / float((true | said).sum())


def recall(true: Array, said: Array, p: Array) -> float:
    return float((true & said).sum()) / float(true.sum())


def precision(true: Array, said: Array, p: Array) -> float:
    return float((true & said).sum()) / float(said.sum()) if said.any() else 0.0


def auroc(true: Array, said: Array, p: Array) -> float:
    return float(sk.roc_auc_score(true, p)) if not true.all() else NAN


def ap(true: Array, said: Array, p: Array) -> float:
    return float(sk.average_precision_score(true, p))


def calibration(p: Array, y: Array) -> float:
    """Expected calibration error of the predicted class over 15 equal bins, in float64."""
    sure, right = p.max(1), p.argmax(1) == y
    place = np.minimum((sure.astype(np.float64) * 15).astype(int), 14)
    return float(sum(abs((sure[place == b] - right[place == b]).sum()) for b in range(15)) / len(y))


def kappa(p: Array, y: Array) -> float:
    answer = p.argmax(1)
    agreed, chance = (answer == y).mean(), sum((answer == c).mean() * (y == c).mean() for c in range(3))
    return float((agreed - chance) / (1 - chance)) if chance < 1 else NAN


BY_CLASS: dict[str, Callable[[Array, Array], list[float]]] = {
    "accuracy": lambda p, y: [sk.accuracy_score(y, p.argmax(1))],
    "balanced_accuracy": lambda p, y: [mean(of_class(p, y, recall))],
    "f1_macro": lambda p, y: [mean(of_class(p, y, f1))],
    "f1_weighted": lambda p, y: [sk.f1_score(y, p.argmax(1), average="weighted", labels=np.unique(y))],
    "recall": lambda p, y: of_class(p, y, recall),
    "precision": lambda p, y: of_class(p, y, precision),
    "f1": lambda p, y: of_class(p, y, f1),
    "auroc": lambda p, y: [mean(of_class(p, y, auroc))],
    "average_precision": lambda p, y: [mean(of_class(p, y, ap))],
    "kappa": lambda p, y: [kappa(p, y)],
    "mcc": lambda p, y: [sk.matthews_corrcoef(y, p.argmax(1)) if len(y) > 1 else 0.0],
    "calibration_error": lambda p, y: [calibration(p, y)],
    "brier": lambda p, y: [float(((p.astype(np.float64) - np.eye(3)[y]) ** 2).sum(1).mean())],
}


@pytest.mark.parametrize("name", BY_CLASS)
@pytest.mark.parametrize("given", CLASSES)
def test_classification(name: str, given: str) -> None:
    p, y = CLASSES[given]
    found = value_of(metric_of("classification", name, num_classes=3), p, torch.from_numpy(y))
    assert found == pytest.approx(BY_CLASS[name](p.numpy(), y), abs=2e-6, nan_ok=True)


OVERLAP: dict[str, Callable[[Array, Array], list[float]]] = {
    "dice": lambda p, y: [mean(of_class(p, y, f1, "either"))],
    "dice_of": lambda p, y: of_class(p, y, f1, "either"),
    "iou": lambda p, y: [mean(of_class(p, y, iou, "either"))],
    "iou_of": lambda p, y: of_class(p, y, iou, "either"),
}


@pytest.mark.parametrize("name", OVERLAP)
@pytest.mark.parametrize("given", CLASSES)
def test_masks_of_classes(name: str, given: str) -> None:
    p, y = CLASSES[given]
    unknown = np.concatenate([y, [255, 255]])  # these pixels count nowhere
    image = torch.cat([p, p[:1], p[:1]]).T.reshape(1, 3, 1, -1)
    metric = metric_of("semantic", name, num_classes=3, ignore_index=255)
    found = value_of(metric, image, torch.from_numpy(unknown).view(1, 1, -1))
    assert found == pytest.approx(OVERLAP[name](p.numpy(), y), abs=2e-6, nan_ok=True)


@pytest.mark.parametrize(
    "rows",
    [([0, 0, 0, 1], [1] * 4), ([0, 0, 1, 1], [0] * 4), ([0, 1], [0, 1]), ([0, 1], [1, 0]), ([0, 1, 1], [0, 0, 1])],
)
def test_matthews_of_two_classes(rows: tuple[list[int], list[int]]) -> None:
    true, said = rows
    metric = metric_of("classification", "mcc", num_classes=2)
    (found,) = value_of(metric, torch.eye(2)[said], torch.tensor(true))
    assert found == pytest.approx(sk.matthews_corrcoef(true, said), abs=1e-7)
    assert metric.compute().is_floating_point()


# numbers

YEARS = 2015 + RNG.uniform(-2, 2, 200)
NUMBERS: dict[str, tuple[Array, Array]] = {
    "near 0": (RNG.normal(size=200), RNG.normal(size=200)),
    "years": (YEARS + RNG.normal(0, 0.6, 200), YEARS),
    "far from 0": (1e6 + RNG.normal(size=200), 1e6 + RNG.normal(size=200)),
    "two rows": (np.array([1.0, 3.0]), np.array([1.0, 2.0])),
    "one row": (np.array([1.0]), np.array([2.0])),
    "one value": (RNG.normal(size=9), np.full(9, 0.1)),
    "nan": (np.array([1.0, NAN, 3.0]), np.array([1.0, 2.0, 3.0])),
}


def r2(p: Array, y: Array) -> float:
    spread = ((y - y.mean()) ** 2).sum()
    return float(1 - ((p - y) ** 2).sum() / spread) if len(y) > 1 and y.max() > y.min() else NAN


BY_NUMBER: dict[str, Callable[[Array, Array], float]] = {
    "mae": lambda p, y: float(np.abs(p - y).mean()),
    "rmse": lambda p, y: float(np.sqrt(((p - y) ** 2).mean())),
    "r2": r2,
}


@pytest.mark.parametrize("name", BY_NUMBER)
@pytest.mark.parametrize("given", NUMBERS)
def test_regression(name: str, given: str) -> None:
    p, y = (torch.from_numpy(part).float() for part in NUMBERS[given])
    (found,) = value_of(metric_of("regression", name), p[:, None], y[:, None])
    expected = BY_NUMBER[name](p.double().numpy(), y.double().numpy())
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-6, nan_ok=True)


def test_numbers_that_are_unknown_count_nowhere() -> None:
    p, y = (1e3 + RNG.normal(size=(40, 2)) for _ in range(2))
    y[::3, 0], y[::4, 1] = NAN, NAN
    parts = [(p[:, c][~np.isnan(y[:, c])], y[:, c][~np.isnan(y[:, c])]) for c in (0, 1)]
    whole = [np.concatenate([part[which] for part in parts]) for which in (0, 1)]
    for metric, expected in (
        (MeanAbsoluteError(), sk.mean_absolute_error(whole[1], whole[0])),
        (MeanSquaredError(), sk.mean_squared_error(whole[1], whole[0])),
        (R2(), np.mean([sk.r2_score(truth, guess) for guess, truth in parts])),
    ):
        if isinstance(metric, R2):
            metric.for_channels(2)
        for rows in (slice(7), slice(7, None)):
            metric.update(torch.from_numpy(p[rows]), torch.from_numpy(y[rows]))
        assert metric.compute().item() == pytest.approx(expected, rel=1e-5)


# yes/no

YES = RNG.integers(0, 2, 80)
ANSWERS: dict[str, tuple[Tensor, Array]] = {
    "usual": (torch.from_numpy(RNG.random(80) * 0.6 + 0.4 * YES).float(), YES),
    "ties": (torch.from_numpy(RNG.integers(0, 3, 80) / 2).float(), YES),
    "only yes": (torch.rand(80), YES * 0 + 1),
    "only no": (torch.rand(80), YES * 0),
    "one row": (torch.tensor([0.4]), np.array([1])),
    "a narrow band": (torch.from_numpy(RNG.uniform(0.3, 0.302, 80)).float(), YES),
    "half precision": (torch.sigmoid(torch.from_numpy(RNG.normal(0, 12, 80)).half()).float(), YES),
    "nan": (torch.tensor([0.1, NAN, 0.8]), np.array([0, 1, 1])),
}


def binned_error(p: Array, y: Array) -> float:
    place = np.minimum((p * 15).astype(int), 14)
    return float(sum(abs((p[place == b] - y[place == b]).sum()) for b in range(15)) / len(y))


BY_ANSWER: dict[str, Callable[[Array, Array], float]] = {
    "auroc": lambda p, y: float(sk.roc_auc_score(y, p)) if len(np.unique(y)) == 2 else NAN,
    "average_precision": lambda p, y: float(sk.average_precision_score(y, p)) if y.any() else NAN,
    "calibration_error": binned_error,
}


@pytest.mark.parametrize(
    ("option", "name", "oracle"),
    [
        ("yes_no", "auroc", "auroc"),
        ("yes_no", "average_precision", "average_precision"),
        ("yes_no", "calibration_error", "calibration_error"),
        ("segmentation", "pixel_auroc", "auroc"),
        ("segmentation", "pixel_ap", "average_precision"),
        ("segmentation", "calibration_error", "calibration_error"),
    ],
)
@pytest.mark.parametrize("given", ANSWERS)
def test_yes_or_no(option: str, name: str, oracle: str, given: str) -> None:
    p, y = ANSWERS[given]
    (found,) = value_of(metric_of(option, name), p[:, None], torch.from_numpy(y)[:, None])
    expected = NAN if p.isnan().any() else BY_ANSWER[oracle](p.double().numpy(), y)
    assert found == pytest.approx(expected, abs=2e-3 if name.startswith("pixel") else 1e-6, nan_ok=True)

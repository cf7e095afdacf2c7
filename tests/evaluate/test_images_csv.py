"""Every number of an evaluation follows from `images.csv`, by other libraries' reckoning."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics as sk

CLASSES = ("normal", "benign", "malignant")
NOT_IN_ROWS = ("loss", "pixel_auroc", "pixel_ap", "calibration_error")
"""Losses are means over batches; numbers of pixels need every pixel."""

Rows = list[dict[str, str]]


@pytest.fixture
def table(evaluated: Path, rows: Callable[[Path], Rows]) -> Rows:
    """The rows."""
    return rows(evaluated)


def column(table: Rows, name: str) -> NDArray[np.float64]:
    """A column of numbers; nan where a cell is empty."""
    return np.array([float(row[name] or "nan") for row in table])


def of_risks(confidence: NDArray[np.float64], loss: NDArray[np.float64]) -> dict[str, float]:
    """Areas under the risk-coverage curve, an image at a time; images of equal confidence have their mean loss."""

    def kept(by: NDArray[np.float64]) -> list[float]:
        sums, total = [], 0.0
        for value in sorted(set(by.tolist()), reverse=True):
            tied = loss[by == value]
            for _ in tied:
                total += float(tied.mean())
                sums.append(total)
        return sums

    n = len(loss)
    aurc, best = (sum(s / k for k, s in enumerate(kept(by), start=1)) / n for by in (confidence, -loss))
    return {"aurc": aurc, "e_aurc": aurc - best, "augrc": sum(kept(confidence)) / n**2}


def of_masks(table: Rows) -> dict[str, float]:
    """Numbers of the masks, an image at a time."""
    names = ("area_true", "area_predicted", "intersection", "area_predicted_at_0.5", "intersection_at_0.5", "known")
    true, drawn, hits, half, half_hits, known = (column(table, f"segmentation.{name}") for name in names)
    lesion = true > 0
    dice = 2 * hits[lesion] / (true + drawn)[lesion]
    half_dice = 2 * half_hits[lesion] / (true + half)[lesion]
    assert column(table, "segmentation.dice")[lesion] == pytest.approx(dice)
    assert np.isnan(column(table, "segmentation.dice")[~lesion]).all()
    assert (column(table, "segmentation.dice")[lesion] >= column(table, "segmentation.iou")[lesion]).all()
    assert (known == 32 * 32).all()
    pieces, lesions, matched = (
        column(table, f"segmentation.lesions_{name}").sum() for name in ("predicted", "true", "matched")
    )
    error = (drawn[lesion] - true[lesion]) / true[lesion]
    whole = 2 * hits.sum() / (true.sum() + drawn.sum())
    return {
        "dice": whole,
        "dice_global": whole,
        "iou": hits.sum() / (true.sum() + drawn.sum() - hits.sum()),
        "dice_lesion": float(dice.mean()),
        "iou_lesion": float((hits[lesion] / (true + drawn - hits)[lesion]).mean()),
        "precision": hits.sum() / drawn.sum(),
        "recall": hits.sum() / true.sum(),
        "specificity_empty": float((drawn[~lesion] == 0).mean()),
        "dice_at_0.5": 2 * half_hits.sum() / (true.sum() + half.sum()),
        "dice_lesion_at_0.5": float(half_dice.mean()),
        "threshold": float(column(table, "segmentation.threshold")[0]),
        "area_error": float(np.abs(error).mean()),
        "area_bias": float(error.mean()),
        "lesion_f1": 2 * matched / (pieces + lesions),
        "lesion_recall": matched / lesions,
        "lesion_precision": matched / pieces,
        **of_risks(column(table, "segmentation.confidence")[lesion], 1 - dice),
    }


def of_classes(table: Rows) -> dict[str, float]:
    """Numbers of the classification, by scikit-learn."""
    y = np.array([CLASSES.index(row["classification.true"]) for row in table])
    predicted = np.array([CLASSES.index(row["classification.predicted"]) for row in table])
    p = np.stack([column(table, f"classification.probability.{name}") for name in CLASSES], axis=1)
    assert (predicted == p.argmax(1)).all()
    each: dict[str, Any] = {"average": None, "labels": range(3), "zero_division": 0}
    one_hot = np.eye(3)[y]
    found = {
        "accuracy": sk.accuracy_score(y, predicted),
        "balanced_accuracy": sk.recall_score(y, predicted, average="macro"),
        "f1_macro": sk.f1_score(y, predicted, average="macro"),
        "f1_weighted": sk.f1_score(y, predicted, average="weighted"),
        "auroc": sk.roc_auc_score(one_hot, p, average="macro"),
        "average_precision": sk.average_precision_score(one_hot, p, average="macro"),
        "kappa": sk.cohen_kappa_score(y, predicted),
        "mcc": sk.matthews_corrcoef(y, predicted),
        "brier": ((p - one_hot) ** 2).sum(1).mean(),
        **of_risks(p.max(1), (predicted != y).astype(float)),
    }
    of_class = {
        "recall": sk.recall_score(y, predicted, **each),
        "precision": sk.precision_score(y, predicted, **each),
        "f1": sk.f1_score(y, predicted, **each),
        "auroc": [sk.roc_auc_score(one_hot[:, c], p[:, c]) for c in range(3)],
        "average_precision": [sk.average_precision_score(one_hot[:, c], p[:, c]) for c in range(3)],
    }
    return found | {f"{key}/{name}": values[c] for key, values in of_class.items() for c, name in enumerate(CLASSES)}


def of_question(table: Rows) -> dict[str, float]:
    """Numbers of the yes/no question, by scikit-learn."""
    y, p = column(table, "yes_no.malignant.true"), column(table, "yes_no.malignant.probability")
    threshold = column(table, "yes_no.malignant.threshold")
    predicted = p >= threshold
    assert (column(table, "yes_no.malignant.predicted") == predicted).all()
    sensitivity = sk.recall_score(y, predicted)
    specificity = sk.recall_score(1 - y, ~predicted)
    return {
        "f1": sk.f1_score(y, predicted),
        "f1_at_0.5": sk.f1_score(y, p >= 0.5),
        "ppv": sk.precision_score(y, predicted, zero_division=np.nan),
        "sensitivity": sensitivity,
        "specificity": specificity,
        "youden": sensitivity + specificity - 1,
        "threshold": float(threshold[0]),
        "auroc": sk.roc_auc_score(y, p),
        "average_precision": sk.average_precision_score(y, p),
        **of_risks(np.where(predicted, (p - threshold) / (1 - threshold), 1 - p / threshold), (predicted != y) * 1.0),
    }


def of_numbers(table: Rows) -> dict[str, float]:
    """Numbers of the regression, by scikit-learn."""
    y, predicted = column(table, "regression.true"), column(table, "regression.predicted")
    return {
        "mae": sk.mean_absolute_error(y, predicted),
        "rmse": sk.root_mean_squared_error(y, predicted),
        "r2": sk.r2_score(y, predicted),
        "bias": float((predicted - y).mean()),
    }


def of_vectors(table: Rows) -> dict[str, float]:
    """Numbers of the embedding, an image at a time."""
    places = np.stack([column(table, f"embedding.v{index}") for index in range(32)], axis=1)
    places = places.astype(np.float32).astype(np.float64)  # cells are the shortest text of a float32
    y = np.array([row["embedding.true"] for row in table])
    near = np.array([[math.fsum(one * other) for other in places] for one in places])
    np.fill_diagonal(near, -np.inf)
    hits = (y[(-near).argsort(axis=1, kind="stable")[:, :-1]] == y[:, None]).astype(float)
    first = hits[:, 0]
    wanted = hits.sum(1).astype(int)
    at_r = [(hits[i, :r] * hits[i, :r].cumsum() / np.arange(1, r + 1)).sum() / r for i, r in enumerate(wanted)]
    shares = {f"precision_at_1/{name}": first[y == name].mean() for name in CLASSES}
    return {"precision_at_1": first.mean(), "map_at_r": float(np.mean(at_r)), **shares}


@pytest.mark.parametrize(
    ("task", "recompute", "tolerance"),
    [
        ("segmentation", of_masks, 1e-6),
        ("classification", of_classes, 1e-5),
        ("yes_no", of_question, 1e-6),
        ("regression", of_numbers, 1e-4),
        ("embedding", of_vectors, 1e-6),
    ],
)
def test_every_number_follows_from_the_rows(
    task: str, recompute: Callable[[Rows], dict[str, float]], tolerance: float, table: Rows, metrics: Mapping[str, Any]
) -> None:
    expected = recompute(table)
    given = {
        key.removeprefix(f"test/{task}/"): value
        for key, value in metrics["metrics"].items()
        if key.startswith(f"test/{task}/") and key.split("/")[2] not in NOT_IN_ROWS
    }
    assert given.keys() == expected.keys()
    if task == "yes_no":  # the areas that training logs are binned; the exact ones stand in the table
        (row,) = metrics["tables"][task][0]["rows"]
        given |= {"auroc": row[-2][0], "average_precision": row[-1][0]}
    for name, value in expected.items():
        assert (np.nan if given[name] is None else given[name]) == pytest.approx(value, abs=tolerance, nan_ok=True), (
            name
        )


def test_a_row_for_each_image(table: Rows, metrics: Mapping[str, Any]) -> None:
    assert len(table) == len({row["id"] for row in table}) == metrics["images"] == 24
    assert {row["class"] for row in table} == set(CLASSES)

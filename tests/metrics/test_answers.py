"""Areas of yes/no questions about pictures, against scikit-learn."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from tandem.metrics import AnswerAUROC, AnswerAveragePrecision


@pytest.mark.parametrize("batch", [1, 7, 50])
@pytest.mark.parametrize("spread", [1.0, 1e-4], ids=["sure", "hardly trained"])
def test_areas_are_exact_with_ties_and_missing_answers(batch: int, spread: float) -> None:
    rng = np.random.default_rng(0)
    target = torch.from_numpy(rng.choice([0, 1, 255], (50, 2), p=[0.6, 0.3, 0.1]))
    logits = torch.from_numpy(rng.normal(size=(50, 2)).round(1)) * spread
    p = torch.sigmoid(logits).float()
    metrics = {AnswerAUROC(): roc_auc_score, AnswerAveragePrecision(): average_precision_score}
    for metric, oracle in metrics.items():
        for start in range(0, 50, batch):
            metric.update(p[start : start + batch], target[start : start + batch])
        for question, value in enumerate(metric.compute().tolist()):
            known = target[:, question] != 255
            expected = oracle(target[known, question].numpy(), p[known, question].numpy())
            assert value == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("answers", "auroc", "precision"), [([0, 0], True, True), ([1, 1], True, False)])
def test_one_sided_answers_are_nan(answers: list[int], auroc: bool, precision: bool) -> None:
    for metric, unknown in ((AnswerAUROC(), auroc), (AnswerAveragePrecision(), precision)):
        metric.update(torch.tensor([[0.2], [0.7]]), torch.tensor(answers).view(2, 1))
        assert math.isnan(metric.compute()) == unknown


def test_questions_without_any_known_answer_are_nan() -> None:
    metric = AnswerAUROC()
    metric.update(torch.tensor([[0.2, 0.5], [0.7, 0.1]]), torch.tensor([[0, 255], [1, 255]]))
    assert [math.isnan(value) for value in metric.compute().tolist()] == [False, True]

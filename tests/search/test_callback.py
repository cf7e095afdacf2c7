"""What a trial tells of its epochs, and when it is given up."""

from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import torch

from tandem.errors import ConfigError
from tandem.search.callback import Pruned, ReportEpochs
from tandem.search.pruners import Hyperband, Median, NoPruning

DICE, ACCURACY = "val/segmentation/dice", "val/classification/balanced_accuracy"


class FakeTrial:
    """Remembers what it is told, and is pruned from an epoch on."""

    def __init__(self, until: int = 99) -> None:
        self.reported: list[tuple[int, float]] = []
        self.until = until
        self.epoch = -1

    def report(self, value: float, step: int) -> None:
        self.reported.append((step, value))

    def should_prune(self) -> bool:
        return self.epoch >= self.until

    def set_user_attr(self, key: str, value: int) -> None:
        assert key == "epoch"
        self.epoch = value


def train(callback: ReportEpochs, epochs: range, validated: bool = True, **metrics: float) -> None:
    """Calls the hooks as Lightning does, with a sanity check before."""
    known = {DICE: torch.tensor(0.5), ACCURACY: torch.tensor(0.25), **metrics}
    trainer: Any = SimpleNamespace(
        sanity_checking=True, current_epoch=epochs.start, callback_metrics=known, max_epochs=5
    )
    module: Any = None
    callback.on_validation_epoch_end(trainer, module)
    trainer.sanity_checking = False
    for trainer.current_epoch in epochs:
        callback.on_train_epoch_start(trainer, module)
        if validated:
            callback.on_validation_epoch_end(trainer, module)
        callback.on_train_epoch_end(trainer, module)


def test_each_epoch_is_reported_once_also_after_an_interruption() -> None:
    trial = FakeTrial()
    train(ReportEpochs(trial, [], [DICE]), range(3))
    train(ReportEpochs(trial, [0, 1, 2], [DICE]), range(2, 5))
    assert trial.reported == [(epoch, 0.5) for epoch in range(5)]


def test_an_epoch_without_validation_reports_nothing() -> None:
    trial = FakeTrial(until=0)
    train(ReportEpochs(trial, [], [DICE]), range(3), validated=False)
    assert trial.reported == []


def test_a_trial_is_given_up_after_an_epoch_but_not_after_its_last() -> None:
    with pytest.raises(Pruned, match=f"pruned after epoch 2, with {DICE} 0.5000"):
        train(ReportEpochs(FakeTrial(until=2), [], [DICE]), range(5))
    train(ReportEpochs(FakeTrial(until=4), [], [DICE]), range(5))


def test_several_objectives_report_nothing_and_prune_nothing() -> None:
    trial = FakeTrial(until=0)
    train(ReportEpochs(trial, [], [DICE, ACCURACY]), range(5))
    assert trial.reported == []


def test_an_objective_that_nothing_logs_is_named() -> None:
    with pytest.raises(ConfigError, match="nothing logs 'val/segmentation/dcie': did you mean 'val/segmentation/dice'"):
        train(ReportEpochs(FakeTrial(), [], ["val/segmentation/dcie"]), range(1))


def test_the_pruners_are_optunas() -> None:
    assert isinstance(NoPruning().make(10), optuna.pruners.NopPruner)
    assert isinstance(Hyperband(2, 3).make(10), optuna.pruners.HyperbandPruner)
    study = optuna.create_study(direction="maximize", pruner=Median(startup=2, warm_up=1).make(10))
    for value in (0.5, 0.6):
        trial = study.ask()
        for epoch in range(3):
            trial.report(value, epoch)
        study.tell(trial, value)
    (bad := study.ask()).report(0.1, 0)
    assert not bad.should_prune(), "in the warm-up"
    bad.report(0.1, 1)
    assert bad.should_prune()


@pytest.mark.parametrize(
    ("made", "line"),
    [
        (lambda: Median(startup=0), "need startup >= 1"),
        (lambda: Median(warm_up=-1), "need startup >= 1 and warm_up >= 0"),
        (lambda: Hyperband(least=0), "need least >= 1"),
        (lambda: Hyperband(factor=1), "factor >= 2"),
        (lambda: Hyperband(least=3).make(3), "must be below trainer.max_epochs=3"),
    ],
)
def test_numbers_out_of_range_are_refused(made: Any, line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        made()

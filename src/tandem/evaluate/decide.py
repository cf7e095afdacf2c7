"""Sets the decisions of an evaluation: those of the checkpoint, or others, fitted on validation data."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tandem.config.suggest import nearest
from tandem.decisions.asked import STORED, Asked
from tandem.decisions.decision import Decision
from tandem.errors import ConfigError, DataError
from tandem.evaluate.settings import EvaluateSettings
from tandem.runs.decisions import Validation, check_asked, decide_by, fit, plain, read_decisions, wanted_of
from tandem.runs.restore import TrainedRun
from tandem.utils.commands import spelled
from tandem.utils.files import read_json, write_json

if TYPE_CHECKING:
    from tandem.evaluate.split import Split

DECISIONS = "decisions.json"
"""The decisions of an evaluation, which `predict` and `export` take with `decide=FILE`."""


def set_decisions(run: TrainedRun, settings: EvaluateSettings, split: "Split | None" = None) -> dict[str, Decision]:
    """Sets the decision of each task; a threshold that is a number, or fitted on the split, follows later.

    Args:
        run: the run, whose tasks hold the decisions of the checkpoint.
        settings: options of the evaluation, with what is asked for.
        split: the split to evaluate, which spares a second reading where it is the validation split.

    Returns:
        The decision of each task that has one.

    Raises:
        ConfigError: no task can be decided so, or a wanted value cannot be reached.
        DataError: the validation data cannot be read, or differ from the run's.
    """
    asked = settings.decide
    wanted = wanted_of(run.module, asked or Asked(), settings.threshold)
    if asked is None and not wanted and not run.decisions:
        return {}
    base = run.decisions if asked is None else {}
    asked = asked or Asked()
    check_asked(run.module, asked, wanted)
    decide_by(run.module, {}, run.swept)  # what is fitted starts from the checkpoint's thresholds
    validation = _validation(run, settings, split) if asked.fitted or wanted else None
    decisions = fit(run.module, validation, asked, wanted, _given(run, settings.threshold), base)
    decide_by(run.module, decisions, run.swept)
    return {name: one for name, one in decisions.items() if not one.neutral}


def decide_run(
    run: TrainedRun, threshold: Any = STORED, decide: Asked | Path | None = None, device: str | None = None
) -> dict[str, Decision]:
    """Sets thresholds and decisions of a run that is to predict or to be exported.

    Args:
        run: a finished run, whose tasks hold the decisions of the checkpoint.
        threshold: `stored`, a number, what it must reach on validation data, or one of these by task.
        decide: what to decide; a file of decisions; None: as the checkpoint says.
        device: `cpu`, `cuda`, ..., on which decisions are fitted; None: as in training.

    Returns:
        The decision of each task that has one.

    Raises:
        ConfigError: no task can be decided so, or a wanted value cannot be reached.
        DataError: the validation data cannot be read, or the file holds no decisions of this run.
    """
    settings = EvaluateSettings(
        run=run.folder, split="val", threshold=threshold, batch_size=None, device=device, masks=False, cases=0,
        page=False, samples=10, seed=0, data={}, decide=None if isinstance(decide, Path) else decide,
    )  # fmt: skip
    if isinstance(decide, Path):
        decide_by(run.module, found := _from_file(run, decide), run.swept)
        run = replace(run, decisions=found)
    try:
        decisions = set_decisions(run, settings)
    except (DataError, OSError) as error:
        raise DataError(
            f"{error}; what is fitted needs the run's validation data: fit it where they are with "
            f"{spelled('evaluate')}, and add decide=RUN/evaluation/SPLIT/{DECISIONS}"
        ) from error
    for name, value in _given(run, threshold).items():
        run.module.tasks[name].threshold.fill_(value)
    return decisions


def _from_file(run: TrainedRun, file: Path) -> dict[str, Decision]:
    try:
        found = read_json(file)
    except ValueError as error:
        raise DataError(f"{file} holds no decisions ({error})") from error
    if not isinstance(found, Mapping) or found.keys() != {"run", "decisions"}:
        raise DataError(f"{file} holds no decisions; give a {DECISIONS} that evaluate has written")
    if found["run"] != run.results["hash"]:
        raise DataError(f"{file} holds decisions of the run {str(found['run'])[:40]!r}, not of {run.results['hash']}")
    return read_decisions(found["decisions"], run.module, str(file))


def _given(run: TrainedRun, threshold: Any) -> dict[str, float]:
    """The thresholds that are numbers, by task."""
    from tandem.callbacks.threshold_sweep import binary_tasks

    tasks = [name for name, _ in binary_tasks(run.module)]
    if unknown := [name for name in threshold if name not in tasks] if isinstance(threshold, Mapping) else []:
        raise ConfigError(f"threshold names '{unknown[0]}', which has no threshold: {nearest(unknown[0], tasks)}")
    if isinstance(threshold, int | float) and not tasks:
        raise ConfigError(f"threshold={threshold}, but no task of this run has a threshold; leave it out")
    by_task: Mapping[str, Any] = threshold if isinstance(threshold, Mapping) else dict.fromkeys(tasks, threshold)
    return {name: float(value) for name, value in by_task.items() if name in tasks and isinstance(value, int | float)}


def _validation(run: TrainedRun, settings: EvaluateSettings, split: "Split | None") -> Validation:
    """Reads the run's own validation data."""
    from tandem.data.loading.loading import loader
    from tandem.evaluate.run_split import make_trainer
    from tandem.evaluate.split import read_split

    val = split if split is not None and split.name == "val" else read_split(run, replace(settings, split="val"))
    trainer = make_trainer(val, [])
    run.module.to(trainer.strategy.root_device)

    def batches() -> Iterable[Mapping[str, Any]]:
        return loader(val.samples, val.batch_size, workers=0, seed=0, train=False)

    return Validation(batches, len(val.samples), val.sweep, trainer.precision_plugin.forward_context)


def write_decisions(folder: Path, run: TrainedRun, decisions: Mapping[str, Decision]) -> None:
    """Writes the decisions of an evaluation to its folder, with the run that they belong to; none: no file.

    Args:
        folder: of the evaluation.
        run: the evaluated run.
        decisions: by task.
    """
    if decisions:
        write_json(folder / DECISIONS, {"run": run.results["hash"], "decisions": plain(decisions)})

"""The command `evaluate`: restores a run, passes over the split once and writes `evaluation/<split>/`."""

import logging
from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from tandem.config.asked import typed_keys
from tandem.evaluate.groups.options import as_list
from tandem.evaluate.settings import EvaluateSettings, read_settings
from tandem.utils.lazy_imports import load_libraries

if TYPE_CHECKING:
    from tandem.runs.restore import TrainedRun

log = logging.getLogger(__name__)


def main() -> None:
    """Runs the command of `scripts/evaluate.py`."""
    import sys

    from tandem.cli import run_tool

    sys.argv[1:] = [as_list(word) for word in sys.argv[1:]]
    run_tool(evaluate_job, "evaluate", "interrupted; run the same command to start again")


def evaluate_job(config: Mapping[str, Any]) -> None:
    """Evaluates a run, and prints the table and the paths of the files.

    Args:
        config: the resolved configuration of `conf/evaluate.yaml`.
    """
    from tandem.evaluate.report.terminal import print_evaluation

    settings = read_settings(config, typed_keys())
    load_libraries()
    evaluation = evaluate_run(settings)
    print_evaluation(evaluation)


def evaluate_run(settings: EvaluateSettings) -> dict[str, Any]:
    """Writes `metrics.json`, `images.csv`, `curves.json`, `masks/` and `report.html` below `evaluation/<split>/`.

    Each file is written completely or not at all. `metrics.json` is written last: if it exists, all other files belong
    to the same evaluation. A second evaluation of the same split waits until the first one has ended.

    Args:
        settings: run, split, threshold and further options.

    Returns:
        The content of `metrics.json`.

    Raises:
        ConfigError: the run is not finished, a threshold is given for a task that has none, or the device is not
            available.
        DataError: the data cannot be read, or differ from the data of the run.
    """
    from tandem.runs.mirrored import mirrored
    from tandem.runs.restore import restore
    from tandem.utils.turns import taking_turns

    run = restore(settings.run)
    with taking_turns(settings.folder), mirrored(run.module) if settings.flips else nullcontext():
        return _evaluate(run, settings)


def _evaluate(run: "TrainedRun", settings: EvaluateSettings) -> dict[str, Any]:
    from tandem.evaluate.bootstrap import BootstrapSamples
    from tandem.evaluate.case_viewer import CaseViewer
    from tandem.evaluate.decide import set_decisions, write_decisions
    from tandem.evaluate.external.comparison import compare, described
    from tandem.evaluate.external.prepare import read_external
    from tandem.evaluate.groups.assign import assign, write_groups
    from tandem.evaluate.groups.scores import score_groups
    from tandem.evaluate.report.page import write_page
    from tandem.evaluate.results import begin, collect, record_look
    from tandem.evaluate.run_split import run_split
    from tandem.evaluate.split import read_split
    from tandem.evaluate.thresholds import set_thresholds
    from tandem.metrics.stored import read_quantities
    from tandem.runs.decisions import plain
    from tandem.runs.performance import channels_last, set_layout
    from tandem.utils.files import write_json

    run.module.begin_epoch(run.results["best_epoch"])  # the weights of some losses depend on the epoch
    set_layout(run.module, channels_last(run.results))
    external = read_external(run, settings) if settings.other else None
    split = external.split if external else read_split(run, settings)
    groups = assign(settings.by, split.samples, split.classes, split.source, settings.table, split.train)
    decisions = set_decisions(run, settings, None if external else split)
    thresholds = set_thresholds(run, split, settings)
    folder = begin(settings.folder)
    log.info("%s on %d images of %s", run.results["name"], len(split.samples), settings.where)
    metrics, parts = run_split(run.module, split, settings, folder)
    looks = record_look(folder, run, settings, thresholds, plain(decisions))
    draws = BootstrapSamples(settings.samples, settings.seed, split.groups)
    findings = {name: part.findings(draws.of(part.places), settings.split != "test") for name, part in parts}
    evaluation = collect(run, settings, split, thresholds, metrics, findings, looks, draws.over, decisions)
    evaluation["groups"] = [score_groups(of, dict(parts), draws, read_quantities(evaluation)) for of in groups]
    if external:
        evaluation |= described(evaluation, external, compare(run, settings, external, dict(parts)))
    if groups:
        write_groups(folder, split.samples.ids, groups)
    write_decisions(folder, run, decisions)
    write_json(folder / "curves.json", {name: found.lines for name, found in findings.items()})
    if settings.page:
        viewer = CaseViewer(run.module, split.samples)
        shown = {name: part.show(viewer, settings.cases) for name, part in parts}
        write_page(folder, evaluation, findings, shown)
    write_json(folder / "metrics.json", evaluation)
    return evaluation

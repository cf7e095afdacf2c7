"""The command: reads the run back, goes through the split once, writes `evaluation/<split>/`."""

import logging
from collections.abc import Mapping
from typing import Any

from tandem.evaluate.settings import EvaluateSettings, read_settings
from tandem.utils.lazy_imports import load_libraries

log = logging.getLogger(__name__)


def main() -> None:
    """The command of `scripts/evaluate.py`."""
    from tandem.cli import run_tool

    run_tool(evaluate_job, "evaluate", "interrupted; the same command begins again")


def evaluate_job(config: Mapping[str, Any]) -> None:
    """Evaluates, prints the table and says where the report lies.

    Args:
        config: the resolved configuration of `conf/evaluate.yaml`.
    """
    from tandem.evaluate.report.terminal import print_evaluation

    settings = read_settings(config)
    load_libraries()
    evaluation = evaluate_run(settings)
    print_evaluation(evaluation)


def evaluate_run(settings: EvaluateSettings) -> dict[str, Any]:
    """Writes `metrics.json`, `images.csv`, `curves.json`, `masks/` and `report.html` below `evaluation/<split>/`.

    Each file is whole or not there, and the page, if it is wanted, is written last: where it lies, all others belong to
    it.

    Args:
        settings: run, split, threshold.

    Returns:
        What is in `metrics.json`.

    Raises:
        ConfigError: no finished run, a threshold for a task that has none, a device that is not there.
        DataError: data that cannot be read, or are not those of the run.
    """
    from tandem.evaluate.bootstrap import BootstrapSamples
    from tandem.evaluate.case_viewer import CaseViewer
    from tandem.evaluate.report.page import write_page
    from tandem.evaluate.results import begin, collect, note_look
    from tandem.evaluate.run_split import run_split
    from tandem.evaluate.split import read_split
    from tandem.evaluate.thresholds import set_thresholds
    from tandem.runs.restore import restore
    from tandem.utils.files import write_json

    run = restore(settings.run)
    run.module.begin_epoch(run.results["best_epoch"])  # of losses whose weights change over the epochs
    split = read_split(run, settings)
    thresholds = set_thresholds(run, split, settings)
    folder = begin(settings.folder)
    log.info("%s on %d pictures of %s", run.results["name"], len(split.samples), settings.split)
    metrics, parts = run_split(run.module, split, settings, folder)
    looks = note_look(folder, run, settings, thresholds)
    draws = BootstrapSamples(settings.samples, settings.seed, split.groups)
    findings = {name: part.findings(draws.of(part.places), settings.split != "test") for name, part in parts}
    evaluation = collect(run, settings, split, thresholds, metrics, findings, looks, draws.over)
    write_json(folder / "curves.json", {name: found.lines for name, found in findings.items()})
    if settings.page:
        look = CaseViewer(run.module, split.samples)
        shown = {name: part.show(look, settings.cases) for name, part in parts}
        write_page(folder, evaluation, findings, shown)
    write_json(folder / "metrics.json", evaluation)
    return evaluation

"""Passes over the run's own test split too, and compares every score with that of the external test."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tandem.evaluate.bootstrap import BootstrapSamples
from tandem.evaluate.collect import Collector
from tandem.evaluate.evaluators import Evaluator, make_evaluators
from tandem.evaluate.external.difference import as_json, difference
from tandem.evaluate.external.prepare import ExternalTest
from tandem.evaluate.run_split import apply, make_trainer

if TYPE_CHECKING:
    from tandem.evaluate.settings import EvaluateSettings
    from tandem.runs.restore import TrainedRun

log = logging.getLogger(__name__)


def compare(
    run: "TrainedRun", settings: "EvaluateSettings", test: ExternalTest, parts: Mapping[str, Evaluator]
) -> dict[str, Any]:
    """Describes an external test for `metrics.json`.

    Args:
        run: the run, whose module has the tasks that were tested.
        settings: options of the evaluation.
        test: the external test.
        parts: its evaluators by task, with what they have collected.

    Returns:
        `site`, `compared` (with the images of training), `shared` (number of images that were in it),
        `internal_images`, and `scores`: `internal` and `difference` (external minus internal) by logged name, each
        value, low and high end.
    """
    found: dict[str, Any] = {
        "site": test.site,
        "compared": test.compared,
        "shared": test.shared,
        "internal_images": None,
        "scores": {},
    }
    if test.own is None:
        return found
    log.info("%s on its own %d test images, to compare", run.results["name"], len(test.own.samples))
    own = dict(make_evaluators(run.module, test.own, None))
    apply(make_trainer(test.own, [test.own.sweep, Collector(own, None, test.own.classes)]), run.module, test.own)
    draws = BootstrapSamples(settings.samples, settings.seed, test.split.groups)
    own_draws = BootstrapSamples(settings.samples, settings.seed + 1, test.own.groups)
    for name, part in parts.items():
        mine, theirs = part.measure(), own[name].measure()
        if part.undefined or own[name].undefined:
            continue
        if mine is not None and theirs is not None:
            scores = difference(mine, draws.of(part.places), theirs, own_draws.of(own[name].places))
            found["scores"] |= as_json(scores, f"test/{name}/")
    return {**found, "internal_images": len(test.own.samples)}


def described(evaluation: Mapping[str, Any], test: ExternalTest, found: Mapping[str, Any]) -> dict[str, Any]:
    """What an external test changes in the content of `metrics.json`.

    Args:
        evaluation: content of `metrics.json` as for the run's own data.
        test: the external test.
        found: of `compare`.
    """
    return {
        "external": found,
        "folder": test.folder,
        "data": {**evaluation["data"], "name": test.site},
        "tasks": {name: node for name, node in evaluation["tasks"].items() if name not in test.left_out},
        "warnings": [*test.remarks, *evaluation["warnings"]],
    }

"""Prepares an external test: the other images, what they lack, and the run's own test to compare with."""

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tandem.errors import ConfigError, DataError
from tandem.evaluate.external.leaks import find_leaks, settle_leaks
from tandem.evaluate.external.matching import match_files, match_targets
from tandem.evaluate.external.options import KEEP
from tandem.evaluate.external.source import read_set
from tandem.evaluate.split import Split, make_split, read_data, with_files
from tandem.tasks.target_statistics import has_target

if TYPE_CHECKING:
    from tandem.data.datamodule import DataModule
    from tandem.data.samples import Samples
    from tandem.evaluate.settings import EvaluateSettings
    from tandem.runs.restore import TrainedRun

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExternalTest:
    """What is needed to test a run on another set.

    Attributes:
        site: name of the set.
        split: its images, with targets in the run's order.
        own: the run's own test split; None if its data cannot be read.
        compared: whether the images were compared with those that the run was trained on.
        shared: number of images that the run was trained on and that were kept.
        left_out: tasks without targets in the other set.
        folder: name of the folder of results.
        remarks: lines that a reader of the results needs.
    """

    site: str
    split: Split
    own: Split | None
    compared: bool
    shared: int
    left_out: tuple[str, ...]
    folder: str
    remarks: tuple[str, ...]


def read_external(run: "TrainedRun", settings: "EvaluateSettings") -> ExternalTest:
    """Reads the other set and the run's own data; tasks without targets there are removed from the run's module.

    Args:
        run: a finished run.
        settings: options of the evaluation, with the other set.

    Raises:
        ConfigError: an option of the other set is wrong.
        DataError: it cannot be read, does not fit the run, or holds images that the run was trained on.
    """
    other = settings.other
    assert other is not None, "only called for an external test"
    labelled = any(task.needs == "label" for task in run.module.tasks.values())
    found = read_set(run, other)
    samples, remarks = match_targets(found.samples, found.info, run.info, other.classes, labelled=labelled)
    remarks = [*found.remarks, *remarks]
    own, why = _own_data(run)
    shared = 0
    if own is None:
        remarks.append(
            f"not compared with the run's own data, which cannot be read here ({why}): whether images were in "
            "training, and how far the numbers are from the internal test, is not known"
        )
    else:
        leaks = find_leaks(samples, own.splits)
        shared = len(leaks.learnt) if other.overlap == KEEP else 0
        samples, said = settle_leaks(samples, leaks, other.overlap, other.label)
        remarks += said
    left_out, said = _without_targets(run, samples, other.label)
    remarks += said
    classes = run.info.classes if labelled else found.info.classes
    split = make_split(run, settings, samples, classes, samples.fingerprint())
    split = replace(split, source=found.source, train=own.splits["train"] if own else None)
    split = with_files(run, split, settings, lambda files: match_files(files, found.info, run.info))
    internal = None
    if own is not None:
        mine = own.splits["test"]
        internal = make_split(run, settings, mine, own.info.classes, "")
    return ExternalTest(
        other.label, split, internal, own is not None, shared, tuple(left_out), other.folder, tuple(remarks)
    )


def _own_data(run: "TrainedRun") -> "tuple[DataModule | None, str]":
    """The run's own data, and why they cannot be read."""
    try:
        return read_data(run, {}), ""
    except (ConfigError, DataError) as error:
        return None, " ".join(str(error).split())


def _without_targets(run: "TrainedRun", samples: "Samples", site: str) -> tuple[list[str], list[str]]:
    """Removes the tasks for which no image has a target; their names, and a line about them."""
    absent = [name for name, task in run.module.tasks.items() if not has_target(task, samples)]
    if len(absent) == len(run.module.tasks):
        raise DataError(
            f"no image of {site} has a target of a task of the run ({', '.join(absent)}); check its classes and masks "
            "with tandem-audit, or its options"
        )
    for name in absent:
        del run.module.tasks[name]
    named = "tasks " + " and ".join(absent) if len(absent) > 1 else f"task {', '.join(absent)}"
    return absent, [f"{named}: no image of {site} has a target, so left out"] if absent else []

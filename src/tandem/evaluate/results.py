"""Content of `metrics.json`: the numbers, their provenance, and every evaluation on test data so far."""

import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from tandem.decisions.decision import Decision
from tandem.decisions.wanted import shown_threshold
from tandem.evaluate.decide import DECISIONS
from tandem.evaluate.decided_table import as_decided
from tandem.evaluate.findings import Findings
from tandem.evaluate.settings import EvaluateSettings
from tandem.evaluate.split import Split
from tandem.runs.decisions import plain
from tandem.runs.provenance import environment
from tandem.runs.restore import TrainedRun
from tandem.utils.files import read_json, write_json

TOUCHED = "touched.json"
"""Records every set of thresholds that was evaluated on test data; entries are added, never removed."""

TOLERANCE = 1e-4
"""Two numbers that differ by more are reported as different."""


def begin(folder: Path) -> Path:
    """Creates the folder and removes the files of an earlier evaluation, except the record of test evaluations."""
    folder.mkdir(parents=True, exist_ok=True)
    left = [
        folder / name for name in ("report.html", "metrics.json", "curves.json", "images.csv", "groups.csv", DECISIONS)
    ]
    for file in (*left, *folder.glob(".*.tmp")):  # a killed evaluation leaves .tmp files
        file.unlink(missing_ok=True)
    shutil.rmtree(folder / "masks", ignore_errors=True)
    return folder


def record_look(
    folder: Path,
    run: TrainedRun,
    settings: EvaluateSettings,
    thresholds: Mapping[str, Sequence[float]],
    decisions: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Adds this evaluation on test data to the record; the test at the end of training is the first entry.

    Args:
        folder: folder of the evaluation.
        run: the evaluated run.
        settings: options of the evaluation, with the split.
        thresholds: the applied thresholds, by task.
        decisions: what was decided beside them, by task.

    Returns:
        One entry per distinct set of thresholds and decisions: `thresholds`, `decisions` if there are any, `times`,
        dates `first` and `last`. Empty for other splits.
    """
    if settings.split != "test":
        return []
    file = folder / TOUCHED
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    if file.exists():
        looks = read_json(file)
    elif not settings.other and any(key.startswith("test/") for key in run.results["metrics"]):
        looks = [
            {"thresholds": run.results["thresholds"], "times": 1, "first": "end of training", "last": "end of training"}
        ]
    else:
        looks = []
    given: dict[str, Any] = {"thresholds": {name: list(values) for name, values in thresholds.items()}}
    given |= {"decisions": dict(decisions)} if decisions else {}
    for look in looks:
        if {key: look[key] for key in ("thresholds", "decisions") if key in look} == given:
            look |= {"times": look["times"] + 1, "last": now}
            break
    else:
        looks.append({**given, "times": 1, "first": now, "last": now})
    write_json(file, looks)
    return list(looks)


def collect(
    run: TrainedRun,
    settings: EvaluateSettings,
    split: Split,
    thresholds: Mapping[str, Sequence[float]],
    metrics: Mapping[str, float],
    findings: Mapping[str, Findings],
    looks: Sequence[Mapping[str, Any]],
    over: str,
    decisions: Mapping[str, Decision],
) -> dict[str, Any]:
    """Builds the content of `metrics.json`.

    Args:
        run: the evaluated run.
        settings: options of the evaluation.
        split: the evaluated split.
        thresholds: the applied thresholds, by task.
        metrics: the run's own metrics, by logged name.
        findings: results of each task.
        looks: record of the evaluations on test data.
        over: the unit that the bootstrap resamples, such as "images".
        decisions: what was decided beside the thresholds, by task.
    """
    scores = {
        f"{settings.split}/{name}/{key}": score
        for name, found in findings.items()
        for key, score in found.scores.items()
    }
    applied = as_decided(metrics, scores, run.module, settings.split)
    return {
        "run": str(settings.run),
        "name": run.results["name"],
        "hash": run.results["hash"],
        "split": settings.split,
        "threshold": shown_threshold(settings.threshold),
        **_decided(decisions),
        **({} if settings.overlap is None else {"windows": settings.overlap}),
        **({"flips": True, "folder": settings.folder.name} if settings.flips else {}),
        "thresholds": dict(thresholds),
        "stored_thresholds": run.results["thresholds"],
        "images": len(split.samples),
        "batch_size": split.batch_size,
        "metrics": {**{key: score.value for key, score in scores.items()}, **applied},
        "intervals": {
            key: [score.low, score.high]
            for key, score in scores.items()
            if key not in applied or abs(score.value - applied[key]) <= TOLERANCE  # no interval from a differing value
        },
        "bootstrap": {"samples": settings.samples, "seed": settings.seed, "level": 0.95, "over": over},
        "estimates": {name: found.estimates for name, found in findings.items() if found.estimates},
        "tables": {name: [table.as_json() for table in found.tables] for name, found in findings.items()},
        "empty": {name: found.empty for name, found in findings.items() if found.empty},
        "looks": list(looks),
        "warnings": [
            *_of_looks(looks),
            *_of_difference(run, settings, split, thresholds, {} if decisions else metrics),
        ],
        "data": {"name": run.info.name, "fingerprint": split.fingerprint},
        "tasks": run.config["tasks"],
        "quantities": run.results.get("quantities", {}),
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        **environment(),
    }


def _of_looks(looks: Sequence[Mapping[str, Any]]) -> list[str]:
    if len(looks) < 2:
        return []
    entries = "; ".join(f"{describe_look(look)} ({look['first']})" for look in looks)
    return [
        f"the test data were evaluated with {len(looks)} sets of thresholds: {entries}. Test data should be used only "
        f"once: report the threshold that was chosen on validation data"
    ]


def describe(thresholds: Mapping[str, Sequence[float]]) -> str:
    """Formats thresholds as text.

    Example:
        >>> describe({"segmentation": [0.4], "findings": [0.5, 0.61]})
        'segmentation 0.4, findings 0.5/0.61'
    """
    return ", ".join(f"{name} {'/'.join(f'{v:g}' for v in values)}" for name, values in thresholds.items()) or "none"


def describe_look(look: Mapping[str, Any]) -> str:
    """Formats the thresholds and decisions of an entry of the record as text."""
    parts = [f"{name}: {_said(one)}" for name, one in look.get("decisions", {}).items()]
    return "; ".join([describe(look["thresholds"]), *parts])


def _said(decision: Mapping[str, Any]) -> str:
    words = [str(decision["rule"])] if decision["rule"] != "threshold" else []
    words += [f"temperature {decision['temperature']:.3g}"] if decision["temperature"] != 1 else []
    words += [f"threshold for {decision['wanted']}"] if decision["wanted"] else []
    words += ["post-processed"] if any(decision["steps"]) else []
    return ", ".join(words) or "no step of post-processing helped"


def _decided(decisions: Mapping[str, Decision]) -> dict[str, Any]:
    """The decisions as data and in words; nothing if there are none, so that files stay as they were."""
    if not decisions:
        return {}
    return {"decisions": plain(decisions), "decided": {name: str(one) for name, one in decisions.items()}}


def _of_difference(
    run: TrainedRun,
    settings: EvaluateSettings,
    split: Split,
    thresholds: Mapping[str, Sequence[float]],
    metrics: Mapping[str, float],
) -> list[str]:
    """Warns if a metric differs from its value at the end of training, for the same thresholds and batch size."""
    same = thresholds == run.results["thresholds"] and split.batch_size == run.config["loader"]["batch_size"]
    same = same and settings.other is None
    before = run.results["metrics"]
    off = {
        key: (before[key], value)
        for key, value in metrics.items()
        if same and before.get(key) is not None and not abs(value - before[key]) <= TOLERANCE
    }
    if not off:
        return []
    key, (then, now) = max(off.items(), key=lambda item: abs(item[1][0] - item[1][1]))
    return [
        f"{len(off)} numbers differ from results.json, most of all {key}: {then:.4f} then, {now:.4f} now; the code, a "
        "library or the device has changed"
    ]

"""What an evaluation leaves: its numbers, where they come from, and how often the test data were looked at."""

import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from tandem.evaluate.findings import Findings
from tandem.evaluate.settings import EvaluateSettings
from tandem.evaluate.split import Split
from tandem.runs.provenance import environment
from tandem.runs.restore import TrainedRun
from tandem.utils.files import read_json, write_json

TOUCHED = "touched.json"
"""Every set of thresholds with which the test data were looked at; never overwritten, only added to."""

TOLERANCE = 1e-4
"""Two numbers that differ more are not the same."""


def begin(folder: Path) -> Path:
    """Makes the folder, and takes away what a former evaluation left, but for the record of looks at the test data."""
    folder.mkdir(parents=True, exist_ok=True)
    left = [folder / name for name in ("report.html", "metrics.json", "curves.json", "images.csv")]
    for file in (*left, *folder.glob(".*.tmp")):  # the latter of an evaluation that was killed
        file.unlink(missing_ok=True)
    shutil.rmtree(folder / "masks", ignore_errors=True)
    return folder


def note_look(
    folder: Path, run: TrainedRun, settings: EvaluateSettings, thresholds: Mapping[str, Sequence[float]]
) -> list[dict[str, Any]]:
    """Adds this look at test data to the record; the one at the end of training is its first.

    Args:
        folder: of the evaluation.
        run: whose test data they are.
        settings: which split.
        thresholds: that were applied, by task.

    Returns:
        Every look with thresholds of its own: `thresholds`, `times`, `first` and `last` date. Empty for other splits.
    """
    if settings.split != "test":
        return []
    file = folder / TOUCHED
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    if file.exists():
        looks = read_json(file)
    elif any(key.startswith("test/") for key in run.results["metrics"]):
        looks = [
            {"thresholds": run.results["thresholds"], "times": 1, "first": "end of training", "last": "end of training"}
        ]
    else:
        looks = []
    given = {name: list(values) for name, values in thresholds.items()}
    for look in looks:
        if look["thresholds"] == given:
            look |= {"times": look["times"] + 1, "last": now}
            break
    else:
        looks.append({"thresholds": given, "times": 1, "first": now, "last": now})
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
) -> dict[str, Any]:
    """What `metrics.json` holds.

    Args:
        run: that was evaluated.
        settings: how.
        split: on what.
        thresholds: that were applied, by task.
        metrics: the run's own, by logged name.
        findings: of each task.
        looks: at the test data.
        over: what the bootstrap draws, in words.
    """
    scores = {
        f"{settings.split}/{name}/{key}": score
        for name, found in findings.items()
        for key, score in found.scores.items()
    }
    return {
        "run": str(settings.run),
        "name": run.results["name"],
        "hash": run.results["hash"],
        "split": settings.split,
        "threshold": settings.threshold,
        "thresholds": dict(thresholds),
        "stored_thresholds": run.results["thresholds"],
        "images": len(split.samples),
        "batch_size": split.batch_size,
        "metrics": {**{key: score.value for key, score in scores.items()}, **metrics},
        "intervals": {
            key: [score.low, score.high]
            for key, score in scores.items()
            if key not in metrics or abs(score.value - metrics[key]) <= TOLERANCE  # not of another number of that name
        },
        "bootstrap": {"samples": settings.samples, "seed": settings.seed, "level": 0.95, "over": over},
        "estimates": {name: found.estimates for name, found in findings.items() if found.estimates},
        "tables": {name: [table.as_json() for table in found.tables] for name, found in findings.items()},
        "empty": {name: found.empty for name, found in findings.items() if found.empty},
        "looks": list(looks),
        "warnings": [*_of_looks(looks), *_of_difference(run, settings, split, thresholds, metrics)],
        "data": {"name": run.info.name, "fingerprint": split.fingerprint},
        "tasks": run.config["tasks"],
        "quantities": run.results.get("quantities", {}),
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        **environment(),
    }


def _of_looks(looks: Sequence[Mapping[str, Any]]) -> list[str]:
    if len(looks) < 2:
        return []
    said = "; ".join(f"{describe(look['thresholds'])} ({look['first']})" for look in looks)
    return [
        f"the test data were looked at with {len(looks)} sets of thresholds: {said}. Test data are meant to be touched "
        f"once: report the threshold that was chosen on validation data"
    ]


def describe(thresholds: Mapping[str, Sequence[float]]) -> str:
    """Thresholds in words.

    Example:
        >>> describe({"segmentation": [0.4], "findings": [0.5, 0.61]})
        'segmentation 0.4, findings 0.5/0.61'
    """
    return ", ".join(f"{name} {'/'.join(f'{v:g}' for v in values)}" for name, values in thresholds.items()) or "none"


def _of_difference(
    run: TrainedRun,
    settings: EvaluateSettings,
    split: Split,
    thresholds: Mapping[str, Sequence[float]],
    metrics: Mapping[str, float],
) -> list[str]:
    """Where the same thing was counted at the end of training, and came out otherwise."""
    same = thresholds == run.results["thresholds"] and split.batch_size == run.config["loader"]["batch_size"]
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
        f"{len(off)} numbers differ from results.json, most {key}: {then:.4f} then, {now:.4f} now; the code, a library "
        "or the device is another"
    ]

"""The table at a run's end: lesion images and images without a lesion stand apart."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tandem.utils.console import escape

WORDS = {
    "dice": "Dice (official)",
    "dice_at_0.5": "Dice at 0.5",
    "iou": "IoU",
    "dice_global": "Dice over all pixels",
    "precision": "pixel precision",
    "recall": "pixel recall",
    "threshold": "threshold (from val)",
    "dice_lesion": "Dice per image",
    "dice_lesion_at_0.5": "Dice per image at 0.5",
    "iou_lesion": "IoU per image",
    "specificity_empty": "predicted empty",
    "hd95": "HD95 in pixels",
    "surface_dice": "surface Dice",
    "area_error": "area error",
    "area_bias": "area bias",
    "lesion_f1": "lesion F1",
    "lesion_recall": "lesion recall",
    "lesion_precision": "lesion precision",
    "pixel_auroc": "AUROC of pixels",
    "pixel_ap": "AP of pixels",
    "f1": "F1",
    "f1_at_0.5": "F1 at 0.5",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "positive predictive value",
    "youden": "Youden's J",
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
    "f1_macro": "F1, macro",
    "f1_weighted": "F1, weighted",
    "auroc": "AUROC, macro",
    "average_precision": "AP, macro",
    "kappa": "Cohen's kappa",
    "mcc": "Matthews correlation",
    "calibration_error": "calibration error",
    "brier": "Brier score",
    "loss": "loss",
}
"""How metrics are called in tables, in this order; others follow under their logged name."""

GROUPS = {
    "dice_lesion": "with lesion",
    "dice_lesion_at_0.5": "with lesion",
    "iou_lesion": "with lesion",
    "specificity_empty": "without lesion",
}
"""Metrics over a part of the images only, and which part; all others are over all images."""

Row = tuple[str, float | None, float | None]


def result_groups(
    metrics: Mapping[str, float | None], tasks: Mapping[str, Any]
) -> Iterator[tuple[str, str, list[Row]]]:
    """Task, which images, and rows (metric, validation, test), in the order in which they are read.

    Args:
        metrics: by logged name, as in `results.json`.
        tasks: configuration of the tasks by name; of a metric that leaves out pictures without lesion it says so.
    """
    order = list(WORDS)
    for task, settings in tasks.items():
        split = (key.split("/", 2) for key in metrics)
        names = dict.fromkeys(parts[2] for parts in split if len(parts) == 3 and parts[1] == task)
        names = dict.fromkeys(sorted(names, key=lambda name: order.index(name) if name in WORDS else len(order)))
        for group in ("all", *dict.fromkeys(GROUPS.values())):
            rows = [
                (WORDS.get(name, name), metrics.get(f"val/{task}/{name}"), metrics.get(f"test/{task}/{name}"))
                for name in names
                if _images(name, settings) == group
            ]
            if rows:
                yield task, group, rows


def _images(name: str, settings: Mapping[str, Any]) -> str:
    """Which pictures a metric is over."""
    chosen = (settings.get("metrics") or {}).get(name) or {}
    return "with lesion" if chosen.get("empty") == "skip" else GROUPS.get(name, "all")


def headline(metrics: Mapping[str, float | None], task: str) -> str | None:
    """The metric that speaks for a task: the first of `WORDS` that it has, its first other one, or its loss.

    Args:
        metrics: by logged name.
        task: name of the task.

    Example:
        >>> headline({"val/lesion/loss": 0.1, "val/lesion/iou": 0.4, "val/lesion/dice": 0.5}, "lesion")
        'dice'
    """
    parts = (key.split("/", 2) for key in metrics)
    names = [name for _, owner, name in (part for part in parts if len(part) == 3) if owner == task]
    ranked = [name for name in WORDS if name in names and name != "loss"]
    others = [name for name in names if not name.startswith("loss")]
    return next(iter([*ranked, *others, *names]), None)


def format_value(value: float | None) -> str:
    """Three digits; a dash where there is nothing to be known."""
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def _brief(key: str) -> bool:
    """Whether a terminal shows it: parts of losses and most values by class are left to the page."""
    return key.count("/") < 3 or key.split("/")[2] == "recall"


def print_results(results: Mapping[str, Any], folder: Path) -> None:
    """Prints the table of a run, without parts of losses, and where its report lies.

    Args:
        results: content of `results.json`.
        folder: the run's folder.
    """
    table = Table(
        title=f"{escape(results['name'])}: best epoch {results['best_epoch']} by {escape(results['monitor'])}"
    )
    for column, justify in (
        ("task", "left"),
        ("images", "left"),
        ("metric", "left"),
        ("val", "right"),
        ("test", "right"),
    ):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    shown = {key: value for key, value in results["metrics"].items() if _brief(key)}
    for task, group, rows in result_groups(shown, results["config"]["tasks"]):
        for index, (name, val, test) in enumerate(rows):
            heading = (escape(task), group) if index == 0 else ("", "")
            table.add_row(*heading, escape(name), format_value(val), format_value(test))
        table.add_section()
    console = Console()
    console.print(table)
    for warning in results.get("warnings", []):
        said = f"epoch {warning['epoch']}: {warning['saw']}; try: {warning['attempt']}"
        console.print(f"[yellow]warning[/] {escape(said)}", highlight=False, soft_wrap=True)
    console.print(f"report: {folder / 'report.html'}", highlight=False, soft_wrap=True, markup=False)

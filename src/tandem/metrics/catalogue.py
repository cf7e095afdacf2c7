"""The catalogue of logged quantities: label, direction (higher or lower is better), order in tables, and format.

This module imports nothing heavy, so that studies, papers and reports can read it without torch.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

Direction = Literal["max", "min"] | None
"""`max`: higher is better; `min`: lower is better; None: neither (such as a threshold), or unknown."""

ALL, LESION, EMPTY = "all", "with lesion", "without lesion"
"""Group of images that a quantity is computed over, as tables show it."""

LAST = 1000
"""Order of quantities without a defined place: after all others, in the order of logging."""


@dataclass(frozen=True)
class Quantity:
    """One logged quantity.

    Attributes:
        label: label in tables.
        direction: see `Direction`.
        group: images that it is computed over: `all`, `with lesion` or `without lesion`.
        order: place in a table, lowest first.
        format: format of its values, such as `.3f` for three digits.
        at_threshold: whether its value depends on the task's threshold.
        column: shorter label for the head of a column; empty: `label`.
        of_one: label in tables with one row per class, question or number; empty: as in the head of a column.
        by_class: whether it is also logged for each class, as `<metric>/<class>`.
        curve: label of its curve against the threshold; empty: no curve is drawn.
        synonym: another common name of the quantity.
        unit_label: label where the size of pixels is known, so that it is in millimetres.
    """

    label: str
    direction: Direction = None
    group: str = ALL
    order: int = LAST
    format: str = ".3f"
    at_threshold: bool = False
    column: str = ""
    of_one: str = ""
    by_class: bool = False
    curve: str = ""
    synonym: str = ""
    unit_label: str = ""

    @property
    def sign(self) -> int:
        """1 if higher is better, -1 if lower is better, 0 if neither or unknown."""
        return {"max": 1, "min": -1, None: 0}[self.direction]

    @property
    def column_label(self) -> str:
        """Label in the head of a column."""
        return self.column or self.label

    @property
    def one_label(self) -> str:
        """Label in tables with one row per class, question or number."""
        return self.of_one or self.column_label

    @property
    def digits(self) -> int:
        """Digits after the decimal point."""
        return int(self.format[1:-1])

    def text(self, value: float | None) -> str:
        """Formats a value; a dash if it is not defined.

        Example:
            >>> Quantity("Dice").text(0.12345), Quantity("Dice").text(None)
            ('0.123', '-')
        """
        return "-" if value is None or math.isnan(value) else f"{value:{self.format}}"


def _swept(label: str, direction: Direction = "max", **more: Any) -> Quantity:
    return Quantity(label, direction, at_threshold=True, **more)


_IN_ORDER: dict[str, Quantity] = {
    "dice": _swept("Dice (official)"),
    "dice_at_0.5": Quantity("Dice at 0.5", "max"),
    "iou": _swept("IoU"),
    "dice_global": _swept("Dice over all pixels", column="Dice over pixels", curve="over all pixels"),
    "precision": _swept("pixel precision", of_one="precision", by_class=True),
    "recall": _swept("pixel recall", of_one="recall", synonym="sensitivity", by_class=True),
    "threshold": _swept("threshold (from val)", None, column="threshold"),
    "dice_lesion": _swept("Dice per image", group=LESION, curve="mean over lesion images"),
    "dice_lesion_at_0.5": Quantity("Dice per image at 0.5", "max", group=LESION),
    "iou_lesion": _swept("IoU per image", group=LESION),
    "dice_native": _swept("Dice at the files' size", column="Dice, files' size"),
    "iou_native": _swept("IoU at the files' size", column="IoU, files' size"),
    "dice_lesion_native": _swept(
        "Dice per image at the files' size", group=LESION, column="Dice per image, files' size"
    ),
    "iou_lesion_native": _swept("IoU per image at the files' size", group=LESION, column="IoU per image, files' size"),
    "specificity_empty": _swept("predicted empty", group=EMPTY),
    "hd95": _swept("HD95 in pixels", "min", unit_label="HD95 in mm"),
    "surface_dice": _swept("surface Dice", unit_label="surface Dice (mm)"),
    "area_error": _swept("area error", "min"),
    "area_bias": _swept("area bias", None),  # 0 is best
    "lesion_f1": _swept("lesion F1"),
    "lesion_recall": _swept("lesion recall"),
    "lesion_precision": _swept("lesion precision"),
    "pixel_auroc": Quantity("AUROC of pixels", "max"),
    "pixel_ap": Quantity("AP of pixels", "max"),
    "f1": _swept("F1", curve="F1", by_class=True),
    "f1_at_0.5": Quantity("F1 at 0.5", "max"),
    "sensitivity": _swept("sensitivity", curve="sensitivity"),
    "specificity": _swept("specificity", curve="specificity", by_class=True),
    "ppv": _swept("positive predictive value", column="PPV"),
    "youden": _swept("Youden's J"),
    "balanced_accuracy": Quantity("balanced accuracy", "max"),
    "accuracy": Quantity("accuracy", "max"),
    "f1_macro": Quantity("F1, macro", "max"),
    "f1_weighted": Quantity("F1, weighted", "max"),
    "auroc": Quantity("AUROC, macro", "max", of_one="AUROC", by_class=True),
    "average_precision": Quantity("AP, macro", "max", of_one="AP", by_class=True),
    "kappa": Quantity("Cohen's kappa", "max"),
    "mcc": Quantity("Matthews correlation", "max"),
    "calibration_error": Quantity("calibration error", "min"),
    "brier": Quantity("Brier score", "min"),
    "loss": Quantity("loss", "min"),
    "aurc": Quantity("AURC", "min"),
    "e_aurc": Quantity("excess AURC", "min"),
    "augrc": Quantity("AUGRC", "min"),
}

_BEHIND: dict[str, Quantity] = {
    "fbeta": _swept("fbeta"),
    "mae": Quantity("mae", "min", of_one="mean absolute error"),
    "mse": Quantity("mse", "min"),
    "rmse": Quantity("rmse", "min", of_one="root mean square error"),
    "bias": Quantity("bias", of_one="bias"),  # 0 is best
    "r2": Quantity("r2", "max", of_one="R squared"),
    "precision_at_1": Quantity("precision_at_1", "max", of_one="of the same class", by_class=True),
    "map_at_r": Quantity("map_at_r", "max"),
    "dice_of": Quantity("dice_of", "max", of_one="Dice over pixels", by_class=True),
    "iou_of": Quantity("iou_of", "max", of_one="IoU over pixels", by_class=True),
    "dice_image": Quantity("dice_image", "max", of_one="Dice per image", by_class=True),
    "dice_of_native": Quantity("dice_of_native", "max", of_one="Dice over pixels, files' size", by_class=True),
    "iou_of_native": Quantity("iou_of_native", "max", of_one="IoU over pixels, files' size", by_class=True),
    "dice_image_native": Quantity("dice_image_native", "max", of_one="Dice per image, files' size", by_class=True),
    "step_loss": Quantity("step_loss", "min"),
    "weight": Quantity("weight"),
    "penalty": Quantity("penalty", "min"),
    "adversarial": Quantity("adversarial"),  # two networks with opposed losses
}

CATALOGUE: Mapping[str, Quantity] = {
    **{name: replace(one, order=place) for place, (name, one) in enumerate(_IN_ORDER.items())},
    **_BEHIND,
}
"""Every quantity that tandem logs, by name of the metric."""


def key_of(name: str) -> str:
    """A logged name without its stage: the key of a quantity in `results.json`.

    Example:
        >>> key_of("test/segmentation/dice"), key_of("val/loss")
        ('segmentation/dice', 'loss')
    """
    return name.partition("/")[2]


def metric_of(name: str) -> str | None:
    """Finds the catalogue's metric in a logged name; None if the catalogue has no such metric.

    A stage, task, class or loss term that is named like a metric is not mistaken for it.

    Args:
        name: `<stage>/<metric>` or `<stage>/<task>/<metric>`; in the second form `/<class>` or `/<term>` may follow the
            metric, and `<channel>/` may precede it.

    Example:
        >>> metric_of("test/mae/dice"), metric_of("val/age/mae"), metric_of("test/birads/recall/mae")
        ('dice', 'mae', 'recall')
        >>> metric_of("test/findings/mae/dice"), metric_of("val/lesion/loss/dice"), metric_of("val/age/nll")
        ('dice', 'loss', None)
    """
    stage, _, rest = name.partition("/")
    task, _, metric = rest.partition("/")
    if not metric:
        return task if task in CATALOGUE else None
    if stage == "train" and task == "penalty" and metric not in CATALOGUE:
        return "penalty"
    first, _, more = metric.partition("/")
    last = metric.rpartition("/")[2]
    if not more or first == "loss" or (stage == "train" and first in ("weight", "adversarial")):
        return first if first in CATALOGUE else None
    if first in CATALOGUE and CATALOGUE[first].by_class:
        return first
    return next((one for one in (last, first) if one in CATALOGUE), None)


def describe(name: str, stored: Mapping[str, Quantity] | None = None) -> Quantity:
    """Describes a logged quantity: as stored by the run, else by the catalogue, else by its name, without direction.

    Args:
        name: logged name, such as `test/segmentation/dice`.
        stored: quantities in `results.json`; see `tandem.metrics.stored.read_quantities`.

    Example:
        >>> describe("test/segmentation/dice").label, describe("val/age/mae").direction
        ('Dice (official)', 'min')
        >>> describe("val/classification/nll").label, describe("val/classification/nll").direction
        ('nll', None)
    """
    key = key_of(name)
    if stored and key in stored:
        return stored[key]
    return entry(metric_of(name), key.partition("/")[2] or key)


def entry(metric: str | None, metric_in_name: str) -> Quantity:
    """The catalogue's entry. A value of one class, channel or loss term keeps its logged name as label, and comes last.

    Args:
        metric: name in the catalogue; None if the catalogue has no such metric.
        metric_in_name: the part of the logged name after the task.
    """
    if metric is None:
        return Quantity(metric_in_name)
    if metric == metric_in_name:
        return CATALOGUE[metric]
    return replace(CATALOGUE[metric], label=metric_in_name, order=LAST)

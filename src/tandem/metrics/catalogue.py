"""What each logged quantity is: its label, whether more or less of it is better, its place in tables, its format.

Nothing heavy is imported here: studies, papers and pages read it without torch.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

Direction = Literal["max", "min"] | None
"""`max`: more is better; `min`: less is better; None: neither is, as for a threshold, or it is unknown."""

ALL, LESION, EMPTY = "all", "with lesion", "without lesion"
"""Which images a quantity is over, as tables show it."""

LAST = 1000
"""Order of what has no place of its own: behind the others, as it was logged."""


@dataclass(frozen=True)
class Quantity:
    """One logged quantity.

    Attributes:
        label: what tables call it.
        direction: see `Direction`.
        group: which images it is over: `all`, `with lesion` or `without lesion`.
        order: its place in a table, the lowest first.
        format: of its numbers, `.3f` for three digits.
        at_threshold: whether its value depends on the task's threshold.
        column: what the head of a column calls it, where that is shorter; empty: the label.
        of_one: what it is called where each row is one class, question or number; empty: as in the head of a column.
        by_class: whether it is also logged for each class, as `<metric>/<class>`.
        curve: what its line against the threshold is called; empty: none is drawn.
        synonym: another name of it, for readers who look for that one.
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

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is, 0 where neither is or it is unknown."""
        return {"max": 1, "min": -1, None: 0}[self.direction]

    @property
    def column_label(self) -> str:
        """In the head of a column."""
        return self.column or self.label

    @property
    def one_label(self) -> str:
        """Where each row is one class, question or number."""
        return self.of_one or self.column_label

    @property
    def digits(self) -> int:
        """Digits after the point."""
        return int(self.format[1:-1])

    def text(self, value: float | None) -> str:
        """A value as it is printed; a dash where it is not known.

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
    "specificity_empty": _swept("predicted empty", group=EMPTY),
    "hd95": _swept("HD95 in pixels", "min"),
    "surface_dice": _swept("surface Dice"),
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
    "step_loss": Quantity("step_loss", "min"),
    "weight": Quantity("weight"),
    "penalty": Quantity("penalty", "min"),
    "adversarial": Quantity("adversarial"),  # two players, each with a loss of its own
}

CATALOGUE: Mapping[str, Quantity] = {
    **{name: replace(one, order=place) for place, (name, one) in enumerate(_IN_ORDER.items())},
    **_BEHIND,
}
"""Every quantity that tandem itself logs, by its metric's name."""


def key_of(name: str) -> str:
    """A logged name without its stage, as `results.json` keeps quantities.

    Example:
        >>> key_of("test/segmentation/dice"), key_of("val/loss")
        ('segmentation/dice', 'loss')
    """
    return name.partition("/")[2]


def metric_of(name: str) -> str | None:
    """The metric in a logged name, as the catalogue calls it; None where that has no such metric.

    Names of stages, tasks, classes and terms of a loss do not matter.

    Args:
        name: `<stage>/<metric>` or `<stage>/<task>/<metric>`, the latter with `/<class>` or `/<term>` behind the
            metric, or `<channel>/` before it.

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
    """What a logged quantity is: as the run stored it, else by the catalogue, else its name without a direction.

    Args:
        name: as it is logged, such as `test/segmentation/dice`.
        stored: quantities of `results.json`, see `tandem.metrics.stored.read_quantities`.

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
    """The catalogue's entry; a value of one class, channel or term of a loss keeps its logged name and comes last.

    Args:
        metric: of the catalogue; None: it has none.
        metric_in_name: what stands behind the task in the logged name.
    """
    if metric is None:
        return Quantity(metric_in_name)
    if metric == metric_in_name:
        return CATALOGUE[metric]
    return replace(CATALOGUE[metric], label=metric_in_name, order=LAST)

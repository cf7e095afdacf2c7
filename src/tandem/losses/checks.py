"""What a loss refuses: knobs out of range when it is built; wrong shapes and target values when it is called."""

import math
from collections.abc import Sequence
from numbers import Real

import torch
from torch import Tensor

from tandem.data.batch import MISSING_LABEL, MISSING_PIXEL
from tandem.errors import ConfigError, DataError

# ---------------------------------------------------------------------------------------------------------------- knobs


def number(name: str, value: object, least: float, most: float, mend: str) -> float:
    """A knob that must be a finite number in [least, most].

    Args:
        name: name of the knob, for the message.
        value: what the user gave.
        least: smallest value allowed.
        most: largest value allowed; may be infinite.
        mend: what to do about a wrong value, for the message.

    Raises:
        ConfigError: for anything else, `True` and `False` included.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ConfigError(f"{name} = {value!r} is not a finite number; {mend}")
    if not least <= float(value) <= most:
        raise ConfigError(f"{name} = {value} is outside [{least:g}, {most:g}]; {mend}")
    return float(value)


def balance(value: object) -> float | None:
    """The `alpha` of a binary loss: None for no balancing, or the weight of the positives, inside (0, 1).

    Raises:
        ConfigError: for 0, 1 and anything outside; 0 and 1 would silence all positives or all negatives.
    """
    if value is None:
        return None
    mend = "use null for no balancing or a value inside (0, 1)"
    alpha = number("alpha", value, 0.0, 1.0, mend)
    if alpha in (0.0, 1.0):
        silent = "negative" if alpha else "positive"
        raise ConfigError(f"alpha = {alpha:g} would give every {silent} the weight 0; {mend}")
    return alpha


def class_weights(name: str, value: object) -> list[float] | None:
    """One number for each class, none below 0 and not all 0; None for no weighting.

    Raises:
        ConfigError: for anything else.
    """
    if value is None:
        return None
    mend = "give one number for each class, or null for none"
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise ConfigError(f"{name} = {value!r} is not a list; {mend}")
    weights = [number(f"{name}[{i}]", weight, 0.0, math.inf, mend) for i, weight in enumerate(value)]
    if len(weights) < 2 or not any(weights):
        raise ConfigError(f"{name} = {weights} would weigh no two classes against each other; {mend}")
    return weights


def class_count(name: str, weights: Tensor, classes: int) -> None:
    """Refuse class weights that do not fit the logits.

    Raises:
        ConfigError: if their number is not the number of classes.
    """
    if len(weights) != classes:
        raise ConfigError(f"{name} has {len(weights)} numbers for {classes} classes; give one for each class")


# --------------------------------------------------------------------------------------------------------------- shapes


def _logits(kind: str, logits: Tensor) -> None:
    if not logits.is_floating_point():
        raise DataError(f"{kind} loss: logits are {logits.dtype}; give the raw floating-point scores of the head")
    if logits.ndim < 2:
        raise DataError(f"{kind} loss: logits have shape {tuple(logits.shape)}; give (N, C) or (N, C, *spatial)")


def binary_shapes(logits: Tensor, target: Tensor) -> None:
    """Refuse anything but (N, C, *spatial) logits with a target of the very same shape.

    Raises:
        DataError: otherwise; nothing is broadcast, as (8, 1) against (8,) would silently become (8, 8).
    """
    _logits("binary", logits)
    if logits.shape != target.shape:
        raise DataError(
            f"binary loss: logits {tuple(logits.shape)} and target {tuple(target.shape)} differ in shape; "
            "reshape the target, nothing is broadcast"
        )


def multiclass_shapes(logits: Tensor, target: Tensor) -> None:
    """Refuse anything but (N, C, *spatial) logits with an integer target (N, *spatial), C at least 2.

    Raises:
        DataError: otherwise; nothing is broadcast and no target is taken for probabilities.
    """
    _logits("multiclass", logits)
    if logits.shape[1] < 2:
        raise DataError(
            f"multiclass loss: logits {tuple(logits.shape)} have {logits.shape[1]} class; "
            "give at least 2, or use a binary loss for one yes/no logit"
        )
    expected = (logits.shape[0], *logits.shape[2:])
    if tuple(target.shape) != expected:
        raise DataError(
            f"multiclass loss: logits {tuple(logits.shape)} need a target {expected}, not {tuple(target.shape)}; "
            "give class indices without a channel, nothing is broadcast"
        )
    if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
        raise DataError(f"multiclass loss: target is {target.dtype}; give integer class indices")


# --------------------------------------------------------------------------------------------------------------- values


def binary_valid(target: Tensor, wait: bool = True) -> Tensor | None:
    """Where a binary target counts; None if everywhere.

    On a GPU never None, so that a step computes the same bits whether or not its call was the first, which waits.

    Args:
        target: values 0, 1 and 255, any dtype.
        wait: look at the values now (which waits for a GPU). If not, a wrong value fails later, as an assertion on the
            device.

    Raises:
        DataError: for any other value, naming up to three.
    """
    if target.dtype == torch.int8:
        target = target.short()  # int8 cannot hold 255: torch would compare with -1
    if wait and target.numel() and not target.is_cuda:
        # Comparisons are slow next to sums: what usually comes is told apart without them.
        low, high = target.aminmax()
        whole = not target.is_floating_point() or bool(target.frac().sum() == 0)
        if whole and bool((low >= 0) & (high <= 1)):
            return None
        if whole and bool((low >= 0) & (high <= MISSING_PIXEL)):
            ranks = target.to(torch.uint8) + 1  # missing wraps to 0
            if int(ranks.max()) <= 2:
                return target != MISSING_PIXEL
    valid = target != MISSING_PIXEL
    wrong = valid & (target != 0) & (target != 1)
    _refuse(target, wrong, "binary", f"0, 1 and {MISSING_PIXEL} (counts nowhere)", wait)
    return valid


def multiclass_valid(target: Tensor, classes: int, wait: bool = True) -> Tensor | None:
    """Where a multiclass target counts; None if everywhere.

    -100 is missing, and so is 255 as long as it cannot be a class (classes <= 255). On a GPU never None, as in
    `binary_valid`.

    Args:
        target: int64 class indices (a narrower type cannot hold both marks, and torch would compare modulo 256).
        classes: number of classes C.
        wait: as in `binary_valid`.

    Raises:
        DataError: for any other value, naming up to three.
    """
    if wait and target.numel() and not target.is_cuda:
        low, high = target.aminmax()
        if bool((low >= 0) & (high < min(classes, MISSING_PIXEL))):
            return None
    valid = target != MISSING_LABEL
    missing = f"{MISSING_LABEL} (missing)"
    if classes <= MISSING_PIXEL:
        valid &= target != MISSING_PIXEL
        missing = f"{MISSING_LABEL} or {MISSING_PIXEL} (missing)"
    wrong = valid & ((target < 0) | (target >= classes))
    _refuse(target, wrong, "multiclass", f"0 to {classes - 1} and {missing}", wait)
    return valid


def _refuse(target: Tensor, wrong: Tensor, kind: str, allowed: str, wait: bool) -> None:
    if not wait:
        torch._assert_async(~wrong.any(), f"{kind} loss: the target holds a value other than {allowed}")
    elif bool(wrong.any()):
        found = ", ".join(list(dict.fromkeys(f"{value:g}" for value in target[wrong][:1000].tolist()))[:3])
        raise DataError(f"{kind} loss: the target holds {found}; map its values to the allowed ones, {allowed}")

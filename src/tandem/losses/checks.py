"""Checks of a loss's input: shapes and target values."""

import torch
from torch import Tensor

from tandem.data.batch import MISSING_LABEL, MISSING_PIXEL
from tandem.errors import DataError

# --------------------------------------------------------------------------------------------------------------- shapes


def _logits(kind: str, logits: Tensor) -> None:
    if not logits.is_floating_point():
        raise DataError(f"{kind} loss: logits are {logits.dtype}; give the raw floating-point scores of the head")
    if logits.ndim < 2:
        raise DataError(f"{kind} loss: logits have shape {tuple(logits.shape)}; give (N, C) or (N, C, *spatial)")


def binary_shapes(logits: Tensor, target: Tensor) -> None:
    """Require (N, C, *spatial) logits with a target of the same shape.

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
    """Require (N, C, *spatial) logits with an integer target (N, *spatial), C at least 2.

    Raises:
        DataError: otherwise; nothing is broadcast, and a floating-point target is not read as probabilities.
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


def map_shapes(logits: Tensor, loss: str) -> None:
    """Require (N, C, H, W) or (N, C, D, H, W).

    Raises:
        DataError: otherwise.
    """
    if logits.ndim not in (4, 5):
        raise DataError(
            f"{loss}: logits have shape {tuple(logits.shape)}, but this loss measures shapes; "
            "give (N, C, H, W) or (N, C, D, H, W)"
        )


def regression_shapes(prediction: Tensor, target: Tensor) -> None:
    """Require (N, C, *spatial) numbers with a floating-point target of the same shape.

    Raises:
        DataError: otherwise; nothing is broadcast, as (8, 1) against (8,) would silently become (8, 8).
    """
    for name, value in (("prediction", prediction), ("target", target)):
        if not value.is_floating_point():
            raise DataError(f"regression loss: {name} is {value.dtype}; give floating-point numbers, nan where missing")
    if prediction.ndim < 2 or prediction.shape != target.shape:
        raise DataError(
            f"regression loss: prediction {tuple(prediction.shape)} and target {tuple(target.shape)} "
            "are not of one shape (N, C); reshape the target, nothing is broadcast"
        )


def embedding_shapes(embeddings: Tensor, labels: Tensor) -> None:
    """Require (N, D) embeddings with (N,) integer labels.

    Raises:
        DataError: otherwise.
    """
    if not embeddings.is_floating_point() or embeddings.ndim != 2:
        found = f"{tuple(embeddings.shape)} of {embeddings.dtype}"
        raise DataError(f"embedding loss: embeddings have shape {found}; give floating-point (N, D)")
    if tuple(labels.shape) != (len(embeddings),):
        raise DataError(
            f"embedding loss: embeddings {tuple(embeddings.shape)} need labels {(len(embeddings),)}, "
            f"not {tuple(labels.shape)}; nothing is broadcast"
        )
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise DataError(f"embedding loss: labels are {labels.dtype}; give integers")


# --------------------------------------------------------------------------------------------------------------- values


def soft_valid(target: Tensor, wait: bool = True) -> tuple[Tensor | None, bool]:
    """Where a binary target in [0, 1] is valid, as in `binary_valid`, and whether it may lie between 0 and 1.

    Whole numbers never do. Floating-point targets on a GPU are not looked at, so they may.

    Args:
        target: values in [0, 1] and 255, any dtype.
        wait: as in `binary_valid`.

    Raises:
        DataError: for any other value, naming up to three.
    """
    if not target.is_floating_point():
        return binary_valid(target, wait), False
    if wait and target.numel() and not target.is_cuda:
        if _yes_no(target):
            return None, False
        if not bool(target.frac().any()):
            return binary_valid(target, wait), False
    valid = target != MISSING_PIXEL
    wrong = valid & ~((target >= 0) & (target <= 1))
    _refuse(target, wrong, "binary", f"0 to 1 and {MISSING_PIXEL} (counts nowhere)", wait)
    return valid, True


def binary_valid(target: Tensor, wait: bool = True, reason: str = "") -> Tensor | None:
    """Where a binary target is valid; None if everywhere.

    On a GPU never None, so that a step computes the same bits whether or not its call was the first, which waits.

    Args:
        target: values 0, 1 and 255, any dtype.
        wait: look at the values now (which waits for a GPU). If not, a wrong value fails later, as an assertion on the
            device.
        reason: why values between 0 and 1 are refused, for the message.

    Raises:
        DataError: for any other value, naming up to three.
    """
    if target.dtype == torch.int8:
        target = target.short()  # int8 cannot hold 255: torch would compare with -1
    if target.dtype == torch.bool and not target.is_cuda:
        return None  # no other values exist
    if wait and target.numel() and not target.is_cuda:
        # Comparisons are slower than sums: the usual targets are recognised without them.
        if _yes_no(target):
            return None
        low, high = target.aminmax()
        whole = not target.is_floating_point() or bool(target.frac().sum() == 0)
        if whole and bool((low >= 0) & (high <= MISSING_PIXEL)):
            ranks = target.to(torch.uint8) + 1  # missing wraps to 0
            if int(ranks.max()) <= 2:
                return target != MISSING_PIXEL
    valid = target != MISSING_PIXEL
    wrong = valid & (target != 0) & (target != 1)
    soft = f" ({reason})" if reason and wait and bool((wrong & (target > 0) & (target < 1)).any()) else ""
    _refuse(target, wrong, "binary", f"0, 1 and {MISSING_PIXEL} (counts nowhere){soft}", wait)
    return valid


def _yes_no(target: Tensor) -> bool:
    """Whether there are no values but 0 and 1."""
    if target.is_floating_point():
        other = target.addcmul(target, target, value=-1)  # y - y^2, a zero for 0 and 1 alone
        return other.reshape(-1).view(torch.uint8).amax().item() == 0
    if target.dtype == torch.uint8:
        return target.amax().item() <= 1
    low, high = target.aminmax()
    return bool((low >= 0) & (high <= 1))


def multiclass_valid(target: Tensor, classes: int, wait: bool = True) -> Tensor | None:
    """Where a multiclass target is valid; None if everywhere.

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


def regression_valid(target: Tensor, wait: bool = True) -> Tensor | None:
    """Where a regression target is known; None if everywhere. On a GPU never None, as in `binary_valid`.

    Args:
        target: finite numbers, or nan where missing.
        wait: as in `binary_valid`.

    Raises:
        DataError: for an infinite value.
    """
    if wait and not target.is_cuda and bool(target.sum().isfinite()):
        return None
    _refuse(target, target.isinf(), "regression", "finite numbers and nan (missing)", wait)
    return ~target.isnan()


def embedding_valid(labels: Tensor, wait: bool = True) -> Tensor:
    """Which rows have a label: not -100.

    Args:
        labels: int64, at least 0, or -100 where missing.
        wait: as in `binary_valid`.

    Raises:
        DataError: for any other value, naming up to three.
    """
    valid = labels != MISSING_LABEL
    _refuse(labels, valid & (labels < 0), "embedding", f"0 and above and {MISSING_LABEL} (missing)", wait)
    return valid


def whole_cells(valid: Tensor | None, loss: str) -> None:
    """Require masks that are complete or missing altogether, for losses that cannot leave pixels out.

    Args:
        valid: (N, C, *spatial), bool; None: all valid.
        loss: name of the loss, for the message.

    Raises:
        DataError: if a channel of an image has both valid and missing pixels.
    """
    if valid is None:
        return
    known = valid.flatten(2)
    partly = known.any(2) & ~known.all(2)
    if bool(partly.any()):
        raise DataError(
            f"{loss}: {int(partly.sum())} of {partly.numel()} masks have missing pixels ({MISSING_PIXEL}), which this "
            "loss cannot leave out; complete or drop these masks, or choose a loss without distances and skeletons"
        )


def _refuse(target: Tensor, wrong: Tensor, kind: str, allowed: str, wait: bool) -> None:
    if not wait:
        torch._assert_async(~wrong.any(), f"{kind} loss: the target holds a value other than {allowed}")
    elif bool(wrong.any()):
        found = ", ".join(list(dict.fromkeys(f"{value:g}" for value in target[wrong][:1000].tolist()))[:3])
        raise DataError(f"{kind} loss: the target holds {found}; map its values to the allowed ones, {allowed}")

"""The contract of a loss: its kind, how it is called, and the work that all losses of a kind share."""

import torch
from torch import Tensor, nn

from tandem.losses import checks
from tandem.losses.reduce import masked_mean

Kind = str
"""A kind of target: one of `KINDS`, or the name that a task of a new kind gives."""

KINDS: tuple[Kind, ...] = ("binary", "multiclass", "regression", "embedding")
"""The kinds that tandem knows: yes/no for each channel, one class of C, a number, or an embedding."""


class Loss(nn.Module):
    """Base of every loss. Called as `loss(logits, target)`; returns a scalar, or named terms (see `Composite`).

    A loss names its `kind`; a task of another kind rejects it when the configuration is built. It takes logits (never
    probabilities) and computes in float32 or float64.

    Attributes:
        kind: one of `KINDS`, or a name of your own; a class attribute, except where it follows from the parts.
        needs_maps: whether it takes only (N, C, H, W) or (N, C, D, H, W), each mask complete or missing altogether.
    """

    kind: Kind
    needs_maps: bool = False

    @property
    def by_rows(self) -> bool:
        """Whether it is made of means (`masked_mean`) over rows, pixels or cells of single images.

        Then a part of a batch can be computed alone: sums and numbers add up. Any other loss needs the whole batch.
        """
        return False

    def __init__(self) -> None:
        super().__init__()
        self._called = False

    def _wait(self, device: torch.device) -> bool:
        """Whether to look at the target's values now.

        Always on the CPU. On a GPU this would stall every step, so only the first call looks: it reports a data set
        with wrong values in one line. A later wrong value fails as an assertion on the device, so it is never silent.
        """
        wait = device.type != "cuda" or not self._called
        self._called = True
        return wait and not torch.compiler.is_compiling()


def _upcast(logits: Tensor) -> Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()


class CleanedLoss(Loss):
    """Base of the losses that compute on cleaned input, so that several of them can share the cleaning.

    Attributes:
        hard: why a target must be one class, or yes or no; empty for losses that take soft targets in [0, 1] too.
        fractional: whether the target of the present call may lie between 0 and 1; set by `clean`.
    """

    hard: str = "its equation asks whether an element is foreground or not"
    fractional: bool = False

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Check, upcast, blank out what has no target, and compute."""
        return self.compute(*self.clean(logits, target))

    @property
    def by_rows(self) -> bool:
        """Whether `element` alone defines it."""
        return type(self).compute in (BinaryLoss.compute, MulticlassLoss.compute)

    def clean(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Logits, target and validity as `compute` takes them; the same for all losses of a kind."""
        raise NotImplementedError(f"{type(self).__name__} needs `clean`")

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor | None) -> Tensor:
        """The loss of cleaned input."""
        raise NotImplementedError(f"{type(self).__name__} needs `compute`")


class BinaryLoss(CleanedLoss):
    """Base of the losses for yes/no questions, one for each channel.

    A subclass defines `element` if its value is a mean over pixels, or `compute` otherwise. Both get clean input:
    checked, at least float32, and 0 in logits and target wherever there is no target.

    Shapes:
        logits: (N, C) or (N, C, *spatial), any floating dtype.
        target: the same shape, any dtype; 0, 1, or 255 where it is missing (the logit may then be NaN). A loss with an
            empty `hard` takes every value in [0, 1], as label smoothing, mixup, several readers and distillation give.

    If there is no valid target at all, the value is 0, connected to the graph, with the gradient 0; tasks skip such
    batches.

    Raises:
        tandem.errors.DataError: if the shapes differ (nothing is broadcast) or the target holds another value.

    Example:
        >>> class Brier(BinaryLoss):
        ...     def element(self, logits, target):
        ...         return (torch.sigmoid(logits) - target) ** 2
        >>> Brier()(torch.zeros(2, 1), torch.tensor([[1], [255]]))
        tensor(0.2500)
    """

    kind: Kind = "binary"

    def clean(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Check, upcast, and blank out what has no target."""
        checks.binary_shapes(logits, target)
        wait = self._wait(target.device)
        if self.hard:
            valid = checks.binary_valid(target, wait, f"{type(self).__name__} takes no soft targets: {self.hard}")
        else:
            valid, self.fractional = checks.soft_valid(target, wait)
        logits = _upcast(logits)
        target = target.to(logits.dtype)
        if valid is not None:
            # Before the kernel, not after: NaN * 0 would still be NaN in the gradient.
            logits = torch.where(valid, logits, 0.0)
            target = torch.where(valid, target, 0.0)
        return logits, target, valid

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor | None) -> Tensor:
        """The loss of clean input; by default the mean of `element` over what counts.

        Args:
            logits: (N, C, *spatial), float32 or float64.
            target: the same shape and dtype, 0 or 1; in [0, 1] where `fractional` is true.
            valid: the same shape, bool, False where nothing counts; None: all counts.

        Returns:
            A scalar.
        """
        return masked_mean(self.element(logits, target), valid)

    def element(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss of each element, in the shape of the logits."""
        raise NotImplementedError(f"{type(self).__name__} needs `element` or `compute`")


class MulticlassLoss(CleanedLoss):
    """Base of the losses for one class out of C, for labels and dense masks.

    A subclass defines `element` if its value is a mean over rows or pixels, or `compute` otherwise. Both get clean
    input: checked, at least float32, and logits 0 and class 0 wherever there is no target.

    Shapes:
        logits: (N, C) or (N, C, *spatial), C >= 2, any floating dtype.
        target: (N, *spatial), any integer dtype; a class index, or -100 or 255 where missing (the logits may then be
            NaN). With more than 255 classes 255 is a class, and only -100 is missing.

    If there is no valid target at all, the value is 0, connected to the graph, with the gradient 0; tasks skip such
    batches.

    Raises:
        tandem.errors.DataError: if the shapes do not fit (nothing is broadcast) or the target holds another value.
    """

    kind: Kind = "multiclass"

    def clean(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Check, upcast, and blank out what has no target."""
        checks.multiclass_shapes(logits, target)
        target = target.long()  # first: in uint8, -100 would compare equal to 156
        valid = checks.multiclass_valid(target, logits.shape[1], self._wait(target.device))
        logits = _upcast(logits)
        if valid is not None:
            # Before the kernel, not after: NaN * 0 would still be NaN in the gradient.
            logits = torch.where(valid.unsqueeze(1), logits, 0.0)
            target = torch.where(valid, target, 0)
        return logits, target, valid

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor | None) -> Tensor:
        """The loss of clean input; by default the mean of `element` over what counts.

        Args:
            logits: (N, C, *spatial), float32 or float64.
            target: (N, *spatial), int64, 0 to C - 1.
            valid: (N, *spatial), bool, False where nothing counts; None: all counts.

        Returns:
            A scalar.
        """
        return masked_mean(self.element(logits, target), valid)

    def element(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss of each row or pixel, in the shape of the target."""
        raise NotImplementedError(f"{type(self).__name__} needs `element` or `compute`")


class RegressionLoss(Loss):
    """Base of the losses for numbers. A subclass defines `element`, the loss of each number.

    Shapes:
        prediction: (N, C) or (N, C, *spatial), any floating dtype; the head's output, without any activation.
        target: the same shape, any floating dtype; finite, or nan where missing (the prediction may then be nan too).

    The value is the mean over the known numbers. If there are none, it is 0, connected to the graph, with the
    gradient 0; a task leaves such batches out.

    Raises:
        tandem.errors.DataError: if the shapes differ (nothing is broadcast), the target holds integers (which have no
            nan, so that a marker such as -100 would be learnt) or an infinite value.
    """

    kind: Kind = "regression"

    @property
    def by_rows(self) -> bool:
        """Whether `element` alone defines it."""
        return type(self).forward is RegressionLoss.forward

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Check, upcast, blank out what has no target, and average."""
        checks.regression_shapes(prediction, target)
        valid = checks.regression_valid(target, self._wait(target.device))
        prediction = _upcast(prediction)
        target = target.to(prediction.dtype)
        if valid is not None:
            # Before the kernel, not after: NaN * 0 would still be NaN in the gradient.
            prediction = torch.where(valid, prediction, 0.0)
            target = torch.where(valid, target, 0.0)
        return masked_mean(self.element(prediction, target), valid)

    def element(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The loss of each number, in the shape of the prediction; both are finite where known, and 0 elsewhere."""
        raise NotImplementedError(f"{type(self).__name__} needs `element`")


class EmbeddingLoss(Loss):
    """Base of the losses for embeddings. A subclass defines `compute`, on rows that all have a label.

    Shapes:
        embeddings: (N, D), any floating dtype; the head's output, not normalised.
        labels: (N,), any integer dtype; at least 0, or -100 where missing (the embedding may then be NaN).

    Rows without a label are dropped. A batch without any pair to learn from (no rows, no two of one class, one class
    only) gives 0, connected to the graph, with the gradient 0. Finding the pairs synchronises with a GPU in every step.

    Raises:
        tandem.errors.DataError: if the shapes do not fit or the labels hold another value.
    """

    kind: Kind = "embedding"

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Check, upcast, drop what has no label, and compute."""
        checks.embedding_shapes(embeddings, labels)
        labels = labels.long()  # first: in uint8, -100 would compare equal to 156
        known = checks.embedding_valid(labels, self._wait(labels.device))
        embeddings, labels = _upcast(embeddings[known]), labels[known]
        # The sum keeps the value on the graph even if the kernel skips rows, and keeps a NaN visible.
        return self.compute(embeddings, labels) + 0 * embeddings.sum()

    def compute(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The loss of clean input.

        Args:
            embeddings: (M, D), float32 or float64.
            labels: (M,), int64, at least 0.

        Returns:
            A scalar.
        """
        raise NotImplementedError(f"{type(self).__name__} needs `compute`")

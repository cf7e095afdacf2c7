"""Options whose value follows from the training targets: `auto` and `balanced`."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tandem.errors import ConfigError, DataError
from tandem.losses.contract import Loss


class DataDependentLoss(Loss):
    """Base of losses with an option whose value is computed from the training targets.

    Until then the option is a buffer that is None. `resolve_from_counts` gives it a value, which the checkpoint keeps:
    an evaluation has the weights of the training without its data, and a resumed run computes the same ones again.

    Attributes:
        deferred: name of the option whose value is still to be computed or was, or None where a value was given.
    """

    deferred: str | None = None

    def defer(self, option: str) -> None:
        """Leave an option to be set by `resolve_from_counts`, or by a checkpoint."""
        self.register_buffer(option, None)
        self.deferred = option
        self.register_load_state_dict_pre_hook(_make_room)  # type: ignore[no-untyped-call]

    def resolve_from_counts(self, counts: Tensor, names: Sequence[str]) -> dict[str, float]:
        """Compute the deferred option from the training targets; do nothing if no option is deferred.

        Args:
            counts: how often each answer occurs among the known training targets: (C,) of a multiclass loss, and
                (C, 2) of a binary one, no and yes.
            names: of the C classes or channels.

        Returns:
            The computed values, by name.

        Raises:
            tandem.errors.DataError: an answer that never occurs, named.
        """
        if self.deferred is None:
            return {}
        value, found = self.from_counts(counts.double().cpu(), names)
        setattr(self, self.deferred, value.float())
        return found

    def from_counts(self, counts: Tensor, names: Sequence[str]) -> tuple[Tensor, dict[str, float]]:
        """The deferred option's value for some counts, as a tensor and as logged; see `resolve_from_counts`."""
        raise NotImplementedError(f"{type(self).__name__} needs `from_counts`")

    def resolved(self, option: str) -> Tensor:
        """A deferred option's value.

        Raises:
            tandem.errors.ConfigError: it has not been computed yet.
        """
        value = getattr(self, option)
        if value is None:
            raise ConfigError(f"{option} depends on the training targets, which were not counted; call resolve first")
        assert isinstance(value, Tensor)
        return value


def balanced_weights(option: str, counts: Tensor, names: Sequence[str]) -> tuple[Tensor, dict[str, float]]:
    """Class weights n / (C n_c), with n targets, C classes and n_c targets of class c: all classes weigh the same.

    Args:
        option: its name, for messages.
        counts: (C,) float64.
        names: of the classes.

    Returns:
        The weights, and the same by name.

    Raises:
        tandem.errors.DataError: a class without any target.

    Source: King and Zeng, Logistic Regression in Rare Events Data, 2001; scikit-learn's `class_weight="balanced"`.
    """
    for name, count in zip(names, counts.tolist(), strict=True):
        if count == 0:
            raise DataError(
                f"{option} is balanced, but no training target is of class '{name}'; give the weights as a list"
            )
    weights = counts.sum() / (len(counts) * counts)
    return weights, {f"{option}.{name}": weight for name, weight in zip(names, weights.tolist(), strict=True)}


def resolve(loss: nn.Module, counts: Tensor, names: Sequence[str]) -> dict[str, float]:
    """Resolves every deferred option of a loss and of its terms; for arguments and errors see `DataDependentLoss`."""
    found: dict[str, float] = {}
    for place, part in deferred_losses(loss).items():
        values = part.resolve_from_counts(counts, names)
        found |= {f"{place}.{key}" if place else key: value for key, value in values.items()}
    return found


def deferred_losses(loss: nn.Module) -> dict[str, DataDependentLoss]:
    """The parts of a loss with a deferred option, by their place in it; the place of the loss itself is ""."""
    parts = {place: part for place, part in loss.named_modules() if isinstance(part, DataDependentLoss)}
    return {place: part for place, part in parts.items() if part.deferred is not None}


def _make_room(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Before a checkpoint is loaded, create the buffer that its value is copied into."""
    assert isinstance(module, DataDependentLoss)
    stored = state.get(f"{prefix}{module.deferred}")
    if stored is not None:
        setattr(module, str(module.deferred), torch.empty_like(stored))

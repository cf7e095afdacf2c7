"""Knobs that follow from the training targets: `auto` and `balanced`."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tandem.errors import ConfigError, DataError
from tandem.losses.contract import Loss


class OpenKnobLoss(Loss):
    """Base of losses with a knob that may be left open until the training targets were counted.

    An open knob is a buffer that is None; `settle` gives it a value, which is in the checkpoint. So an evaluation from
    a checkpoint has the weights of the training without its data, and a resumed run computes the same ones again.

    Attributes:
        open_knob: name of the knob that was left open, or None where a value was given.
    """

    open_knob: str | None = None

    def leave_open(self, knob: str) -> None:
        """Makes a knob wait for `settle`, or for a checkpoint."""
        self.register_buffer(knob, None)
        self.open_knob = knob
        self.register_load_state_dict_pre_hook(_make_room)  # type: ignore[no-untyped-call]

    def settle(self, counts: Tensor, names: Sequence[str]) -> dict[str, float]:
        """Computes the open knob from the training targets; nothing where none was left open.

        Args:
            counts: how often each answer occurs among the known training targets: (C,) of a multiclass loss, and
                (C, 2) of a binary one, no and yes.
            names: of the C classes or channels.

        Returns:
            What was computed, by name.

        Raises:
            tandem.errors.DataError: an answer that never occurs, named.
        """
        if self.open_knob is None:
            return {}
        value, found = self.follow(counts.double().cpu(), names)
        setattr(self, self.open_knob, value.float())
        return found

    def follow(self, counts: Tensor, names: Sequence[str]) -> tuple[Tensor, dict[str, float]]:
        """The open knob's value for some counts, as a tensor and as it is shown; see `settle`."""
        raise NotImplementedError(f"{type(self).__name__} needs `follow`")

    def settled(self, knob: str) -> Tensor:
        """An open knob's value.

        Raises:
            tandem.errors.ConfigError: it is still open.
        """
        value = getattr(self, knob)
        if value is None:
            raise ConfigError(f"{knob} is to follow from the training targets, which nobody has counted; call settle")
        assert isinstance(value, Tensor)
        return value


def balanced_weights(knob: str, counts: Tensor, names: Sequence[str]) -> tuple[Tensor, dict[str, float]]:
    """Class weights n / (C n_c), with n targets, C classes and n_c targets of class c: every class weighs the same.

    Args:
        knob: its name, for messages.
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
                f"{knob} is balanced, but no training target is of class '{name}'; give the weights as a list"
            )
    weights = counts.sum() / (len(counts) * counts)
    return weights, {f"{knob}.{name}": weight for name, weight in zip(names, weights.tolist(), strict=True)}


def settle(loss: nn.Module, counts: Tensor, names: Sequence[str]) -> dict[str, float]:
    """Settles every open knob of a loss and of its terms; arguments, result and errors are those of `OpenKnobLoss`."""
    found: dict[str, float] = {}
    for place, part in open_losses(loss).items():
        found |= {f"{place}.{key}" if place else key: value for key, value in part.settle(counts, names).items()}
    return found


def open_losses(loss: nn.Module) -> dict[str, OpenKnobLoss]:
    """The parts of a loss with a knob that was left open, by their place in it; that of the loss itself is ""."""
    parts = {place: part for place, part in loss.named_modules() if isinstance(part, OpenKnobLoss)}
    return {place: part for place, part in parts.items() if part.open_knob is not None}


def _make_room(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Before a checkpoint is loaded: the buffer that its value is copied into."""
    assert isinstance(module, OpenKnobLoss)
    stored = state.get(f"{prefix}{module.open_knob}")
    if stored is not None:
        setattr(module, str(module.open_knob), torch.empty_like(stored))

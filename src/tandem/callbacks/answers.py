"""What the steps of any LightningModule return to a callback: probabilities and targets."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tandem.errors import ConfigError

Select = Callable[[Any, Any], Any]
"""A function of what a step returned and of the batch, which returns what `read_answers` expects."""

EXPECTED = "a dict with 'target' and 'probabilities' or 'logits', each (N, C, ...), or a dict of such dicts by name"


@dataclass
class Question:
    """One yes/no question of a LightningModule that has no tasks.

    Attributes:
        name: what the step's dict calls it; empty if it asks one question only.
        dense: whether it is about pixels.
        threshold: (C,) float32, applied where none is chosen.
        class_names: names of the channels.
    """

    name: str
    dense: bool
    threshold: Tensor
    class_names: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """The answer to a question for a batch.

    Attributes:
        probabilities: (N, C, ...) in [0, 1], without gradient.
        target: of the same shape; 0, 1, or 255 where it is missing.
    """

    probabilities: Tensor
    target: Tensor


def read_answers(outputs: Any, batch: Any, select: Select | None, who: str) -> dict[str, Answer]:
    """Reads what a step returned.

    Args:
        outputs: of the step.
        batch: its batch.
        select: returns the expected from outputs and batch; None: the outputs are as expected.
        who: the callback and the module, for messages.

    Returns:
        Answers by the name of the question; empty if the step asks one question only.

    Raises:
        ConfigError: something else was returned.
    """
    found = outputs if select is None else select(outputs, batch)
    if not isinstance(found, Mapping):
        raise _unexpected(found, select, who)
    if "target" in found:
        return {"": _answer(found, select, who)}
    several = {str(name): part for name, part in found.items() if isinstance(part, Mapping)}
    if not several:
        raise _unexpected(found, select, who)
    return {name: _answer(part, select, who) for name, part in several.items()}


def _answer(found: Mapping[str, Any], select: Select | None, who: str) -> Answer:
    given = [key for key in ("probabilities", "logits") if isinstance(found.get(key), Tensor)]
    if len(given) != 1 or not isinstance(found.get("target"), Tensor):
        raise _unexpected(found, select, who)
    values, target = found[given[0]].detach(), found["target"].detach()
    if values.shape != target.shape or values.ndim < 2:
        shapes = f"{given[0]} {tuple(values.shape)} and target {tuple(target.shape)}"
        raise ConfigError(f"{who}: {shapes} are not of one shape (N, C, ...); reshape them, nothing is broadcast")
    if given[0] == "probabilities":
        return Answer(values, target)
    return Answer(torch.sigmoid(values if values.dtype == torch.float64 else values.float()), target)


def _unexpected(found: Any, select: Select | None, who: str) -> ConfigError:
    what = (
        f"a dict with {', '.join(map(str, found)) or 'nothing'}" if isinstance(found, Mapping) else type(found).__name__
    )
    source = "the step" if select is None else "select"
    fix = "return that, or give select=, a function of outputs and batch" if select is None else "correct it"
    return ConfigError(f"{who}: {source} returned {what}, but {EXPECTED} is expected; {fix}")

"""Answers averaged over an image and its mirrored copies."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tandem.errors import ConfigError

if TYPE_CHECKING:
    from tandem.module import MultiTaskModule
    from tandem.tasks import Task

MIRRORED: Sequence[tuple[int, ...]] = ((), (-1,), (-2,), (-2, -1))
"""Axes of the flips: none, left-right, top-down, both."""


@contextmanager
def mirrored(module: "MultiTaskModule") -> Iterator[None]:
    r"""For the time of a `with` block, the probabilities of a module are means over an image and its mirrored copies.

    Masks are mirrored back before the mean \(\bar p\). The module then has the logits of \(\bar p\), at which its
    losses, metrics and decisions read it.

    Args:
        module: of a finished run, in evaluation.

    Raises:
        ConfigError: a task has no probabilities, such as a number or an embedding.
    """
    from tandem.runs.decisions import decidable

    known = decidable(module)
    if rest := [name for name in module.tasks if name not in known]:
        raise ConfigError(f"flips=true averages probabilities, but task '{rest[0]}' has none; leave flips=true out")
    plain = module.forward

    def averaged(image: Tensor) -> dict[str, Tensor]:
        sums: dict[str, Tensor] = {}
        for axes in MIRRORED:
            for name, logits in plain(image.flip(axes)).items():
                p = known[name].tempered(logits.float()).double()
                p = p.flip(axes) if known[name].dense else p
                sums[name] = sums[name] + p if name in sums else p
        return {name: _logits(known[name], total / len(MIRRORED)) for name, total in sums.items()}

    module.forward = averaged  # type: ignore[method-assign]
    try:
        yield
    finally:
        del module.forward


def _logits(task: "Task", p: Tensor) -> Tensor:
    """Float32 logits whose tempered probabilities are p."""
    found = p.clamp_min(LEAST).log() if task.target_kind.exclusive else torch.logit(p.clamp(LEAST, MOST))
    return (found * task.decision.temperature).float()


LEAST, MOST = 1e-30, 1 - 1e-16
"""Float64 probabilities are kept inside, since the logits of 0 and 1 are not finite."""

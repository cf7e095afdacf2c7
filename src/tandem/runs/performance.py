"""How a run computes, where `performance=auto` or `fast` has chosen it: what was chosen, and its effect on a module."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from tandem.config.monitor import AUTO
from tandem.utils.artifacts import COMPUTING_KEY

if TYPE_CHECKING:
    import torch
    from pytorch_lightning.plugins import Precision
    from torch import nn

    from tandem.module import MultiTaskModule

EXACT = "exact"
"""The neutral option of `performance`."""

FLOAT32 = "32-true"
"""The precision of a run where nothing else is set or chosen."""


@dataclass(frozen=True)
class Computing:
    """Settings that change how fast a step is, and how its numbers are rounded.

    Attributes:
        precision: of Lightning's trainer.
        channels_last: whether images and weights of a network that is not tandem's own lie in memory with the channels
            last, as those of tandem's always do.
        fused: whether the optimiser updates all weights in one pass.
        threads: of torch on a CPU; None: as the process has them.
    """

    precision: str = FLOAT32
    channels_last: bool = False
    fused: bool = False
    threads: int | None = None

    def __str__(self) -> str:
        parts = [f"precision {self.precision}"]
        parts += ["channels last"] * self.channels_last + ["fused optimiser"] * self.fused
        parts += [] if self.threads is None else [f"{self.threads} thread{'' if self.threads == 1 else 's'}"]
        return ", ".join(parts)

    def plain(self) -> dict[str, Any]:
        """As plain values, for files."""
        return asdict(self)


def read_computing(stored: object) -> Computing:
    """Reads what `Computing.plain` has given.

    Raises:
        ValueError: it is something else.

    Example:
        >>> read_computing({"precision": "bf16-mixed", "channels_last": True, "fused": False, "threads": None})
        Computing(precision='bf16-mixed', channels_last=True, fused=False, threads=None)
    """
    if not isinstance(stored, Mapping) or stored.keys() != {entry.name for entry in fields(Computing)}:
        raise ValueError(f"{stored!r} does not say how a run computes")
    found = Computing(**stored)
    count = found.threads
    right = (
        found.precision in ("16-mixed", "bf16-mixed", "32-true", "64-true")
        and isinstance(found.channels_last, bool)
        and isinstance(found.fused, bool)
        and (count is None or (isinstance(count, int) and not isinstance(count, bool) and count > 0))
    )
    if not right:
        raise ValueError(f"{stored!r} does not say how a run computes")
    return found


def used_precision(results: Mapping[str, Any]) -> Any:
    """The precision that a run was trained with: what was chosen, else what its configuration says; None if unknown.

    Args:
        results: content of `results.json`.
    """
    asked = ((results.get("config") or {}).get("trainer") or {}).get("precision")
    return (results.get(COMPUTING_KEY) or {}).get("precision", FLOAT32 if asked == AUTO else asked)


def channels_last(results: Mapping[str, Any]) -> bool:
    """Whether the images of a run lay in memory with the channels last.

    Args:
        results: content of `results.json`.
    """
    return COMPUTING_KEY in results and read_computing(results[COMPUTING_KEY]).channels_last


def described(results: Mapping[str, Any]) -> str:
    """The option `performance` of a run with what it has chosen, in words.

    Example:
        >>> described({})
        'exact'
    """
    word = ((results.get("config") or {}).get(COMPUTING_KEY) or {}).get("name", EXACT)
    return word if COMPUTING_KEY not in results else f"{word}: {read_computing(results[COMPUTING_KEY])}"


def precision_plugin(name: str, device: str) -> "Precision":
    """Lightning's part for float32 or mixed precision.

    Args:
        name: `32-true` or `bf16-mixed`.
        device: type of the device, `cpu` or `cuda`.
    """
    from pytorch_lightning.plugins import MixedPrecision, Precision

    return Precision() if name == FLOAT32 else MixedPrecision("bf16-mixed", device)


def set_layout(module: "MultiTaskModule", channels_last: bool) -> None:
    """Puts the network's weights, and each batch of images that it gets, into memory with the channels last, if asked.

    Args:
        module: with the network.
        channels_last: whether to.
    """
    if channels_last:
        import torch

        network = module.network
        assert isinstance(network, torch.nn.Module)
        network.to(memory_format=torch.channels_last)
        network.register_forward_pre_hook(_channels_last)


def _channels_last(network: "nn.Module", given: "tuple[torch.Tensor]") -> "tuple[torch.Tensor]":
    import torch

    return (given[0].contiguous(memory_format=torch.channels_last),)


@contextmanager
def threads_set(count: int | None) -> Iterator[None]:
    """Inside, torch computes with so many threads; None changes nothing."""
    import torch

    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)

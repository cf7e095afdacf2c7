"""Signals that end a command: raised as an exception at once, or at the end of the training step if one is held."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

NAMES = ("SIGTERM", "SIGUSR1", "SIGUSR2")
"""Signals that end a command as Ctrl-C does: sent by `kill`, Slurm (submitit asks it for SIGUSR2) and `docker stop`."""


KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
"""Ends a process at once. Windows has no SIGKILL, and its SIGTERM does the same."""


class Terminated(KeyboardInterrupt):
    """A signal ended the command. Code that stops in order at Ctrl-C does so here too.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.number = signal.Signals(number)


def exit_code(stop: BaseException) -> int:
    """The exit code of an interrupted command: 128 and the number of the signal.

    Example:
        >>> exit_code(Terminated(signal.SIGTERM)), exit_code(KeyboardInterrupt())
        (143, 130)
    """
    return 128 + (stop.number if isinstance(stop, Terminated) else signal.SIGINT)


def interruption(stop: BaseException) -> KeyboardInterrupt | None:
    """The interruption behind an exception; None if there is none. Lightning turns one into `SystemExit`."""
    if isinstance(stop, SystemExit):
        stop = stop.__context__ or stop
    return stop if isinstance(stop, KeyboardInterrupt) else None


class _Held:
    """Whether a signal waits for the end of a step, and the one that came meanwhile."""

    held = False
    waiting: int | None = None


def install() -> None:
    """Makes the signals of `NAMES`, and Ctrl-C, raise an exception; does nothing outside of the main thread."""
    for name in NAMES:
        if hasattr(signal, name):
            _set(getattr(signal, name), _raise)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell's `&` ignores it
        _set(signal.SIGINT, _raise)


@contextmanager
def kept() -> Iterator[None]:
    """Restores the handlers at the end, for callers that outlive a command."""
    numbers = [getattr(signal, name) for name in (*NAMES, "SIGINT") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            _set(number, handler)


def hold() -> None:
    """From here to `release`, the first signal waits; the second raises at once."""
    _Held.held = True


def waiting() -> bool:
    """Whether a signal has come since `hold`."""
    return _Held.waiting is not None


def release() -> None:
    """Raises the signal that waits.

    Raises:
        KeyboardInterrupt: a signal has come since `hold`.
    """
    number = _Held.waiting
    drop()
    if number is not None:
        raise _stop(number)


def drop() -> None:
    """Ends `hold` without raising."""
    _Held.held, _Held.waiting = False, None


def _raise(number: int, frame: FrameType | None) -> None:
    if _Held.held and _Held.waiting is None:
        _Held.waiting = number
        return
    drop()
    raise _stop(number)


def _stop(number: int) -> KeyboardInterrupt:
    return KeyboardInterrupt() if number == signal.SIGINT else Terminated(number)


def _set(number: int, handler: Any) -> None:
    try:
        signal.signal(number, handler)
    except ValueError:  # not the main thread, which alone gets signals
        return

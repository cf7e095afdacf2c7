"""What torch's allocator holds at most on the CPU, from the profiler; the system's own figure would count libraries."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator

from torch.profiler import ProfilerActivity, profile


class Peak:
    """Counts what is held beyond what was held at its start; `mib` is the most of it, once `stop` was called."""

    def __init__(self) -> None:
        self.mib = 0.0
        self.stack = contextlib.ExitStack()

    def start(self) -> None:
        """Begins to count."""
        self.stack.enter_context(quiet())
        self.seen = self.stack.enter_context(profile(activities=[ProfilerActivity.CPU], profile_memory=True))

    def stop(self) -> None:
        """Ends it."""
        self.stack.close()
        held = most = 0
        assert self.seen.profiler is not None
        assert self.seen.profiler.kineto_results is not None
        events = [event for event in self.seen.profiler.kineto_results.events() if event.name() == "[memory]"]
        for event in sorted(events, key=lambda event: event.start_ns()):
            held += event.nbytes()
            most = max(most, held)
        self.mib = most / 2**20


def peak(function: Callable[[], object]) -> float:
    """What is held at most at one time during a call, its result included, in MiB."""
    seen = Peak()
    seen.start()
    kept = function()
    seen.stop()
    del kept
    return seen.mib


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps what the profiler's C++ code says of itself off the terminal."""
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as unread:
        os.dup2(unread.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)

"""Signals in the worker processes of a data loader: only the main process ends them."""

import os
import signal
import threading

from tandem.utils.signals import NAMES


def leave_signals_to_the_main_process(worker: int) -> None:
    """Ignores the signals that Slurm or a terminal sends to every process of a run, so that the main one can stop.

    SIGTERM of the main process itself ends the worker, since `multiprocessing` sends it.

    Args:
        worker: its number, which the data loader passes.
    """
    for name in {*NAMES, "SIGINT"} - {"SIGTERM"}:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # Linux
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_with_parent_signal, daemon=True).start()


def _end_with_parent_signal() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        continue
    os._exit(0)

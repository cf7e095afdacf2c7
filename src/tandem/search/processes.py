"""Several processes of one search: each runs the same command, and takes trials until there are enough."""

import logging
import signal
import sys
import time

from tandem.jobs.launcher_options import thread_variables
from tandem.jobs.process import Steps, start_process, stop_processes
from tandem.utils.signals import KILL

log = logging.getLogger(__name__)

SINCE = "TANDEM_SEARCH_SINCE"
"""Environment variable of a further process: the number of the first trial of this launch."""

LOOK = 0.2
"""Seconds between two looks at the processes."""

STEPS: Steps = ((0, signal.SIGINT), (10, signal.SIGINT), (20, KILL))
"""How a process is stopped after Ctrl-C. Until then it puts its trial back into the queue. Python can lose the first
SIGINT; the trial of a killed process is resumed, too."""

REPLACEMENTS = 3
"""Maximum number of killed processes that are replaced, per requested process."""


def run_processes(count: int, since: int) -> bool:
    """Starts processes and waits until all have ended; a process that is killed is replaced.

    Args:
        count: of processes.
        since: see `Trials.claim`.

    Returns:
        Whether no process ended with an error.

    Raises:
        KeyboardInterrupt: the user stopped it; the processes have put their trials back.
    """
    variables = {**thread_variables(None, count), SINCE: str(since)}
    arguments = ["-m", "tandem.search", *sys.argv[1:]]
    running = [start_process(arguments, variables, steps=STEPS) for _ in range(count)]
    spare, well = REPLACEMENTS * count, True
    try:
        while running:
            time.sleep(LOOK)
            ended = {process: code for process in running if (code := process.poll()) is not None}
            running = [process for process in running if process not in ended]
            for code in ended.values():
                well = well and code <= 0
                if code < 0 and spare:
                    spare -= 1
                    log.info(
                        "%s killed a process (out of memory?); another one replaces it", signal.Signals(-code).name
                    )
                    running.append(start_process(arguments, variables, steps=STEPS))
    except BaseException:
        stop_processes(running)
        raise
    return well

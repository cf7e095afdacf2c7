"""Puts a job of Slurm back into the queue."""

import logging
import os
import re
import subprocess

log = logging.getLogger(__name__)


def requeue() -> bool:
    """Asks Slurm to queue this process's job again, with the same id and command; logs the outcome.

    Returns:
        Whether Slurm has accepted. False outside of a job of Slurm.
    """
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    job = f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID", "")
    if not re.fullmatch(r"[0-9_]+", job):
        log.warning("checkpoint.requeue is true, but this is no job of Slurm: not queued again")
        return False
    try:
        subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, timeout=60, check=True)  # noqa: S603, S607
    except (OSError, subprocess.SubprocessError) as error:
        said = " ".join(str(getattr(error, "stderr", None) or error).split())
        log.warning("job %s was not queued again (%s): submit it again to resume", job, said)
        return False
    log.info("job %s is queued again, and will resume", job)
    return True

"""One run in two processes: images/s of training against plain Lightning DDP, and against one process of one thread."""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.harness import Row

ROOT = Path(__file__).parents[2]
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")


def rows() -> list[Row]:
    """Both sides leave batch normalisation unsynchronised, and have the same network, losses, rows and optimiser."""
    from tests.benchmarks.ddp_speed import IMAGES

    speed: dict[tuple[str, int], float] = {}
    for count, starter in ((1, ()), (2, TORCHRUN)):
        for name, seconds in measured(starter).items():
            speed[name, count] = IMAGES / statistics.median(seconds)
    return [
        _row("two processes", speed["tandem", 2], "plain Lightning DDP", speed["plain", 2], 0.95),
        _row("two processes", speed["tandem", 2], "one process, one thread", speed["tandem", 1], 1.5),
        _row("one process", speed["tandem", 1], "plain Lightning, one process", speed["plain", 1]),
    ]


def _row(what: str, ours: float, peer: str, theirs: float, least: float | None = None) -> Row:
    ratio, bar = ours / theirs, "" if least is None else f">= {least}"
    return Row(
        what, f"{ours:.0f} images/s", f"{peer} {theirs:.0f} images/s", ratio, bar, least is None or ratio >= least
    )


def measured(starter: tuple[str, ...]) -> dict[str, list[float]]:
    """Seconds of each epoch, by side."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "seconds.json"
        command = [sys.executable, *starter, "-m", "tests.benchmarks.ddp_speed", str(file)]
        search = os.pathsep.join([str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
        variables = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": search}
        done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        found: dict[str, list[float]] = json.loads(file.read_text())
        return found

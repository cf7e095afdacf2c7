"""One run in two processes: images/s of training against plain Lightning DDP, and against one process of one thread."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.harness import Row, paired

ROOT = Path(__file__).parents[2]
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
STARTERS = {1: (), 2: TORCHRUN}
PAIRS = 9
Took = dict[str, float]


def rows() -> list[Row]:
    """Both sides leave batch normalisation unsynchronised, and have the same network, losses, rows and optimiser."""
    took = measured(PAIRS)
    tandem, plain = ({count: [one[side] for one in took[count]] for count in took} for side in ("tandem", "plain"))
    return [
        paired("two processes", "plain Lightning DDP", tandem[2], plain[2], 0.95),
        paired("two processes", "one process, one thread", tandem[2], tandem[1], 1.5),
        paired("one process", "plain Lightning, one process", tandem[1], plain[1]),
        paired("plain Lightning, two processes", "plain Lightning, one process", plain[2], plain[1]),
    ]


def measured(pairs: int) -> dict[int, list[Took]]:
    """Seconds of an epoch of each side, by number of processes, which take turns; one turn warms up."""
    with TemporaryDirectory() as folder:
        groups = {count: Group(starter, Path(folder) / str(count), pairs + 1) for count, starter in STARTERS.items()}
        try:
            rounds = [{count: group.turn(at) for count, group in groups.items()} for at in range(pairs + 1)]
        finally:
            for group in groups.values():
                group.end()
    return {count: [each[count] for each in rounds[1:]] for count in STARTERS}


class Group:
    """Processes that wait for their turns."""

    def __init__(self, starter: tuple[str, ...], folder: Path, turns: int) -> None:
        self.folder = folder
        folder.mkdir()
        command = [sys.executable, *starter, "-m", "tests.benchmarks.ddp_speed", str(folder), str(turns)]
        search = os.pathsep.join([str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
        variables = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": search}
        self.said = (folder / "said").open("w")
        self.process = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=self.said, stderr=self.said)

    def turn(self, number: int) -> Took:
        """Lets them take a turn; gives the seconds of an epoch, by side."""
        (self.folder / f"go{number}").touch()
        answer = self.folder / f"took{number}.json"
        while not answer.exists():
            if self.process.poll():
                raise RuntimeError((self.folder / "said").read_text()[-2000:])
            time.sleep(0.05)
        found: Took = json.loads(answer.read_text())
        return found

    def end(self) -> None:
        """Ends them, if they have not ended."""
        self.process.terminate()
        self.process.wait()
        self.said.close()

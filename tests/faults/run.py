"""`make faults`: kills of drawn set-ups and damaged files, with a table of what was tried, survived and equal.

python -m tests.faults.run [SET-UPS] [KILLS]
"""

import logging
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from tests.faults.damage import FILES, KINDS, compare, outcome
from tests.faults.setups import PHANTOM, again, draw, killed, left, run

from tandem.config.shipped import take_launchers

DAMAGED = [*PHANTOM, "checkpoint.every_n_steps=2"]


def kills(seed: int, count: int, place: Path) -> tuple[int, int, list[str]]:
    """Kills a drawn set-up at `count` moments; returns how many ended, how many of them equal, and the faults."""
    words = draw(seed)
    moments = run(words, place / "whole").moments
    expected = left(place / "whole")
    ended, equal, faults = 0, 0, []
    for moment in sorted(np.random.default_rng(seed).choice(moments, count, replace=count > moments) + 1):
        folder = place / str(moment)
        try:
            killed(words, folder, int(moment))
            again(words, folder)
        except Exception as error:
            faults.append(f"moment {moment}: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
            continue
        ended += 1
        if differing := left(folder).differs(expected):
            faults.append(f"moment {moment}: {', '.join(differing)} differ")
        else:
            equal += 1
        shutil.rmtree(folder)
    return ended, equal, faults


def damages(place: Path) -> tuple[int, int, int, list[str]]:
    """Damages each file of a finished and an interrupted run; returns tried, handled, equal, and the faults."""
    moments = run(DAMAGED, place / "finished").moments
    expected = left(place / "finished")
    killed(DAMAGED, place / "interrupted", 2 * moments // 3)
    for state in ("finished", "interrupted"):
        (place / state / "status.json").write_text("{}\n")
    tried, handled, equal, faults = 0, 0, 0, []
    for state in ("finished", "interrupted"):
        for name in FILES:
            for seed, kind in enumerate(KINDS):
                folder = place / f"{state}-{name}-{kind}"
                found = outcome(DAMAGED, place / state, folder, name, kind, seed)
                if found == "absent":
                    continue
                tried += 1
                good = found in ("equal", "refused", "answered")
                if found == "equal" and (differing := compare(folder, expected)):
                    good, found = False, f"{', '.join(differing)} differ"
                handled, equal = handled + good, equal + (found == "equal")
                if not good:
                    faults.append(f"{state}, {name} {kind}: {found}")
                shutil.rmtree(folder)
    return tried, handled, equal, faults


def main() -> None:
    """Prints the table; exits with 1 if anything was lost."""
    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    take_launchers()
    setups, count = (int(word) for word in (sys.argv[1:] + ["12", "20"][len(sys.argv) - 1 :]))
    table, lost = Table("fault", "tried", "survived", "equal", "options"), []
    console = Console()
    with tempfile.TemporaryDirectory() as root:
        for seed in range(setups):
            ended, equal, faults = kills(seed, count, Path(root) / str(seed))
            table.add_row(f"kill, set-up {seed}", str(count), str(ended), str(equal), " ".join(draw(seed)))
            lost += [f"set-up {seed}, {fault}" for fault in faults]
            console.print(f"set-up {seed}: {equal} of {count} equal")
        tried, handled, equal, faults = damages(Path(root) / "damage")
        table.add_row("damaged file", str(tried), str(handled), str(equal), "the others: one line with the way out")
        lost += faults
    console.print(table)
    for line in lost:
        console.print(line, highlight=False)
    raise SystemExit(1 if lost else 0)


if __name__ == "__main__":
    main()

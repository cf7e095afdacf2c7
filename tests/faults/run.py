"""`make faults`: kills of drawn set-ups, damaged files, bad inputs and hostile cases, with a table of what was tried.

python -m tests.faults.run [PARTS] [SET-UPS] [KILLS]
"""

import logging
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from tests.faults.damage import FILES, KINDS, compare, outcome
from tests.faults.inputs import generated, refused, stated
from tests.faults.setups import PHANTOM, again, draw, killed, left, run
from tests.security.hostile import KEPT, TABLES, fault

import tandem
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


Rows = list[tuple[str, ...]]


def kill_rows(place: Path, setups: int, count: int, console: Console) -> tuple[Rows, list[str]]:
    """A row of the table for each drawn set-up, and what was lost."""
    rows: Rows = []
    lost: list[str] = []
    for seed in range(setups):
        ended, equal, faults = kills(seed, count, place / str(seed))
        rows.append((f"kill, set-up {seed}", str(count), str(ended), str(equal), " ".join(draw(seed))))
        lost += [f"set-up {seed}, {fault}" for fault in faults]
        console.print(f"set-up {seed}: {equal} of {count} equal")
    return rows, lost


def damage_rows(place: Path) -> tuple[Rows, list[str]]:
    """The row of damaged files."""
    tried, handled, equal, faults = damages(place)
    about = "the others: one line with the way out"
    return [("damaged file", str(tried), str(handled), str(equal), about)], faults


def input_rows(place: Path) -> tuple[Rows, list[str]]:
    """A row for each command: how many bad inputs were tried, and how many were refused well."""
    place.mkdir()
    tried: Counter[str] = Counter()
    lost: dict[str, list[str]] = {}
    refused(stated()[0], place / "first")  # libraries are imported before the seconds of a case count
    for number, case in enumerate([*stated(), *generated()]):
        tried[case.command] += 1
        if fault := refused(case, place / str(number)):
            lost.setdefault(case.command, []).append(f"{case}: {fault}")
    rows: Rows = [
        (f"bad input, {command}", str(count), str(count - len(lost.get(command, []))), "", "one line, no folder left")
        for command, count in tried.items()
    ]
    rows.append(("bad input, all", str(tried.total()), str(tried.total() - sum(map(len, lost.values()))), "", ""))
    return rows, [fault for faults in lost.values() for fault in faults]


def hostile_rows(place: Path) -> tuple[Rows, list[str]]:
    """A row for each table of hostile cases."""
    tandem.load(KEPT, device="cpu")  # libraries are imported before the seconds of a case count
    rows: Rows = []
    lost: list[str] = []
    for name, cases in TABLES.items():
        found = {f"{name}: {case}": fault(case, place / f"{name}-{number}") for number, case in enumerate(cases)}
        bad = [f"{case}: {said}" for case, said in found.items() if said]
        rows.append((f"hostile, {name}", str(len(cases)), str(len(cases) - len(bad)), "", "nothing got out"))
        lost += bad
    return rows, lost


PARTS = ("kills", "damage", "inputs", "hostile")


def main() -> None:
    """Prints the table; exits with 1 if anything was lost."""
    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    take_launchers()
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    parts = [word for word in sys.argv[1:] if not word.isdigit()] or PARTS
    if unknown := [part for part in parts if part not in PARTS]:
        raise SystemExit(f"error: no part {unknown[0]!r}; there are: {', '.join(PARTS)}")
    setups, count = (*numbers, *(12, 20)[len(numbers) :])[:2]
    table, lost = Table("fault", "tried", "survived, or refused well", "equal", "about"), []
    console = Console()
    with tempfile.TemporaryDirectory() as root:
        place = Path(root)
        made = {
            "kills": lambda: kill_rows(place, setups, count, console),
            "damage": lambda: damage_rows(place / "damage"),
            "inputs": lambda: input_rows(place / "inputs"),
            "hostile": lambda: hostile_rows(place / "hostile"),
        }
        for part in PARTS:
            if part in parts:
                rows, faults = made[part]()
                lost += faults
                for row in rows:
                    table.add_row(*row)
    console.print(table)
    for line in lost:
        console.print(line, highlight=False)
    raise SystemExit(1 if lost else 0)


if __name__ == "__main__":
    main()

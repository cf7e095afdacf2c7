"""Damage to the files of a run, and what its command makes of it."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tests.faults.setups import Left, again, left

from tandem.errors import TandemError

FILES = (
    *("results.json", "best.ckpt", "last.ckpt", "last.previous.ckpt", "data.json", "metrics.csv", "splits.csv"),
    *("identity.json", "artifacts.json", "status.json"),
)

Damage = Callable[[Path, np.random.Generator], None]


def _flip(path: Path, generator: np.random.Generator) -> None:
    content = bytearray(path.read_bytes())
    content[int(generator.integers(len(content)))] ^= 1 << int(generator.integers(8))
    path.write_bytes(content)


def _cut(path: Path, generator: np.random.Generator) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(generator.integers(1, len(content)))])


def _empty(path: Path, generator: np.random.Generator) -> None:
    path.write_bytes(b"")


def _garble(path: Path, generator: np.random.Generator) -> None:
    path.write_bytes(generator.bytes(path.stat().st_size))


def _lose(path: Path, generator: np.random.Generator) -> None:
    path.unlink()


def _double(path: Path, generator: np.random.Generator) -> None:
    path.write_bytes(2 * path.read_bytes())


KINDS: dict[str, Damage] = {
    "bit": _flip,
    "cut": _cut,
    "empty": _empty,
    "garbled": _garble,
    "lost": _lose,
    "doubled": _double,
}


def outcome(words: Sequence[str], whole: Path, folder: Path, name: str, kind: str, seed: int) -> str:
    """Damages a file in a copy of a run, gives the command again, and says how that ended.

    Args:
        words: options of the run.
        whole: folder of the run; finished, or interrupted.
        folder: of the copy.
        name: of the file.
        kind: of `KINDS`.
        seed: of the place of the damage.

    Returns:
        `equal` or `refused` (one line); anything else is a fault: what differs, or another error.
    """
    shutil.copytree(whole, folder)
    if not (folder / name).exists():
        return "absent"
    KINDS[kind](folder / name, np.random.default_rng(seed))
    try:
        again(words, folder)
    except TandemError as error:
        return "refused" if "\n" not in str(error) else f"several lines: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:100]}"
    return "equal" if (folder / "best.ckpt").exists() else "answered"


def compare(folder: Path, expected: Left) -> list[str]:
    """What a recovered run has otherwise than an undamaged one."""
    return left(folder).differs(expected)

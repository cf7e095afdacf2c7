"""How the cost of data grows: the second start of a folder of images, its memory, and the split of its rows."""

import json
import os
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from tests.benchmarks.growth_training import LIMIT
from tests.benchmarks.harness import Row, at_most, growth, not_measured, seconds

from tandem.data.splitting.splits import split_rows

ROOT = Path(__file__).parents[2]

COUNTS = (1_000, 10_000, 100_000)
MANY = "BENCH_IMAGES"
"""Environment variable with a further number of images, such as 1000000, which takes half an hour and 4 GB of disk."""

START_BAR = 60.0
"""Seconds that the second start of a million files may take; fewer files, as many fewer."""

ROWS = (1_000, 10_000, 100_000, 1_000_000)
CLASSES = 5
FRACTIONS = {"train": 0.7, "val": 0.15, "test": 0.15}

SECOND_START = """
import json, resource, sys, time
from tandem.data.folder import Folder
source = Folder(sys.argv[1], size=8, masks=None, near_duplicates=False, memory_gb=0.001)
at_first = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
source.load()
taken = time.perf_counter() - start
unit = 2**20 if sys.platform == "darwin" else 2**10
most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([taken, (most - at_first) / unit]))
"""
"""Decoded images are read from the cache batch by batch, since they do not fit into a thousandth of a GB."""


def rows(folder: Path) -> Iterator[Row]:
    """Second starts, and splits of rows in memory.

    Args:
        folder: for the images and the cache.
    """
    counts = [*COUNTS, *((int(os.environ[MANY]),) if MANY in os.environ else ())]
    found = {count: second_start(folder, count) for count in counts}
    most = max(counts)
    yield growth("second start: time by images", [(n, taken) for n, (taken, _) in found.items()], "s", LIMIT)
    yield at_most(f"second start of {most:,} images", found[most][0], {"limit": START_BAR * most / 1_000_000}, 1, "s")
    what = "second start: memory beside the libraries by images"
    points = [(n, more) for n, (_, more) in found.items() if more > 0]  # few images need less than the imports before
    yield growth(what, points, "MiB", LIMIT) if len(points) > 1 else not_measured(what, "-", "too few images")
    times = []
    for count in ROWS:
        labels = np.arange(count) % CLASSES
        names = [f"image {row}" for row in range(count)]
        took = seconds({"": lambda labels=labels, names=names: split_rows(labels, names, FRACTIONS, 0)}, repeats=1)  # type: ignore[misc]
        times.append((count, took[""]))
    yield growth("split_rows: time by rows", times, "s", LIMIT)


def second_start(folder: Path, count: int) -> tuple[float, float]:
    """Seconds to list the images, settle the split and map what was decoded, and MiB beyond what the imports needed."""
    root = folder / f"images{count}"
    write_images(root, count)
    variables = {
        **os.environ, "TANDEM_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]),
    }  # fmt: skip
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", SECOND_START, str(root)], env=variables, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
    taken, more = json.loads(done.stdout.splitlines()[-1])
    return taken, more


def write_images(root: Path, count: int) -> None:
    """Different PNG files of 8 x 8 pixels in folders of classes: noise, with a number in each file's comment."""
    chance = random.Random(0)  # noqa: S311  # no secret
    drawn = []
    for _ in range(64):
        pixels = np.frombuffer(chance.randbytes(64), dtype=np.uint8).reshape(8, 8)
        buffer = BytesIO()
        Image.fromarray(pixels).save(buffer, "png")
        drawn.append(buffer.getvalue())
    for label in range(CLASSES):
        (root / f"class{label}").mkdir(parents=True)
    for row in range(count):
        comment = b"tEXt" + b"row\0" + str(row).encode()
        chunk = struct.pack(">I", len(comment) - 4) + comment + struct.pack(">I", zlib.crc32(comment))
        whole = drawn[row % len(drawn)]
        (root / f"class{row % CLASSES}" / f"{row:07d}.png").write_bytes(whole[:-12] + chunk + whole[-12:])

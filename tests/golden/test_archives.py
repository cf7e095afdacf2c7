"""Papers that were archived before the code moved: the same tables without training, and the same numbers with it."""

import csv
import io
import json
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.golden.corrected import comparable
from tests.paper.test_reproduce import asked

from tandem.paper.command import reproduce
from tandem.utils.machine import processor

HERE = Path(__file__).parent


COMPARISONS = [f"main_comparison.{ending}" for ending in ("csv", "md", "tex")]
"""Their intervals and p values were made by the rules of tandem 0.1.0: percentile bootstrap and Wilcoxon's test."""


@pytest.mark.parametrize(("name", "remade"), [("quick", COMPARISONS), ("golden_busi", [])])
def test_tables_are_made_again_byte_for_byte(
    name: str, remade: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = reproduce(asked(f"archive={HERE / f'{name}.zip'}"))
    assert done.changed == []
    assert list(done.remade) == remade, "only comparisons are made by newer rules"
    assert done.good
    for table in remade[:1]:
        with zipfile.ZipFile(HERE / f"{name}.zip") as archive:
            old = columns(archive.read(f"tables/{table}").decode())
        new = columns((done.out / "tables" / table).read_text())
        assert [column for column in new if column in old and new[column] == old[column]] == UNCHANGED


UNCHANGED = ["metric", "cell", "pairs", "difference"]


def columns(text: str) -> dict[str, list[str]]:
    """Columns of a CSV by name."""
    head, *rows = csv.reader(io.StringIO(text))
    return {name: [row[place] for row in rows] for place, name in enumerate(head)}


FIRST_EPOCH = 0.03
"""Largest relative difference of the losses after one epoch on another processor, which rounds differently."""


def unexplained(name: str, out: Path) -> list[tuple[str, str, float, float]]:
    """Numbers of the runs that were trained again which are neither those of the archive nor corrected since.

    On the processor of the archive every number must be equal. On another one the training losses of the first epoch
    must be close, since each step enlarges the difference. A run that differs stays in the folder `verify`.
    """
    found = []
    with zipfile.ZipFile(HERE / f"{name}.zip") as archive:
        equal = json.loads(archive.read("manifest.json"))["hardware"]["processor"] == processor()
        for path in (out / "verify").glob("*/*/results.json"):
            place = path.parent.relative_to(out / "verify").as_posix()
            if equal:
                then = comparable(json.loads(archive.read(f"runs/{place}/results.json"))["metrics"])
                now = json.loads(path.read_text())["metrics"]
                off = [key for key, value in then.items() if value != now[key]]
            else:
                then = first_epoch(archive.read(f"runs/{place}/metrics.csv").decode())
                now = first_epoch((path.parent / "metrics.csv").read_text())
                off = [key for key in then if now[key] != pytest.approx(then[key], rel=FIRST_EPOCH)]
            found += [(place, key, then[key], now[key]) for key in off]
    return found


def first_epoch(text: str) -> dict[str, float]:
    """Training losses in the first row of a `metrics.csv`, which must be there; those of validation are steps later."""
    row = next(csv.DictReader(io.StringIO(text)))
    losses = {key: float(value) for key, value in row.items() if re.fullmatch(r"train/.*loss", key) and value}
    assert losses
    return losses


@pytest.mark.full
def test_phantoms_give_the_same_numbers_again(
    trained: list[Sequence[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    again = reproduce(asked(f"archive={HERE / 'quick.zip'}", "rerun=true", "tolerance=0"))
    assert len(again.checks) == 6
    assert unexplained("quick", again.out) == []


@pytest.mark.full
def test_a_fold_of_curated_busi_gives_the_same_numbers_again(
    real_busi: Path, trained: list[Sequence[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = [f"data.root={real_busi / 'Dataset_BUSI_with_GT'}", f"data.subset={real_busi / 'curated_busi.csv'}"]
    again = reproduce(
        asked(f"archive={HERE / 'golden_busi.zip'}", "rerun=true", "tolerance=0", *data, folders=[str(HERE / "conf")])
    )
    assert len(again.checks) == 4
    assert unexplained("golden_busi", again.out) == []

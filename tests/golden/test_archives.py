"""Papers that were archived before the code moved: the same tables without training, and the same numbers with it."""

import csv
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.paper.test_reproduce import asked

from tandem.paper.command import reproduce

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


@pytest.mark.full
def test_phantoms_give_the_same_numbers_again(
    trained: list[Sequence[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    again = reproduce(asked(f"archive={HERE / 'quick.zip'}", "rerun=true"))
    assert len(again.checks) == 6
    assert all(check.passed for check in again.checks), again.checks


@pytest.mark.full
def test_a_fold_of_curated_busi_gives_the_same_numbers_again(
    real_busi: Path, trained: list[Sequence[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = [f"data.root={real_busi / 'Dataset_BUSI_with_GT'}", f"data.subset={real_busi / 'curated_busi.csv'}"]
    again = reproduce(asked(f"archive={HERE / 'golden_busi.zip'}", "rerun=true", *data, folders=[str(HERE / "conf")]))
    assert len(again.checks) == 4
    assert all(check.passed for check in again.checks), again.checks

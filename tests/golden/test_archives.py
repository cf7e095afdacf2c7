"""Papers that were archived before the code moved: the same tables without training, and the same numbers with it."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.paper.test_reproduce import asked

from tandem.paper.command import reproduce

HERE = Path(__file__).parent


@pytest.mark.parametrize("name", ["quick", "golden_busi"])
def test_tables_are_made_again_byte_for_byte(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = reproduce(asked(f"archive={HERE / f'{name}.zip'}"))
    assert done.changed == []
    assert done.good


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

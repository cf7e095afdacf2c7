"""The tables of hostile cases: a short form here, all of them in `make test-full` and `make faults`."""

from pathlib import Path

import pytest
from tests.security.hostile import ESCAPES, FILES, Hostile, fault

QUICK = ("best.ckpt is", "results.json is [[", "os.system in", "'../../outside/evil.json' in", "objects in arrays")
"""How the names of those begin, or what they contain, that once failed, and of each kind one."""


@pytest.mark.filterwarnings("ignore:Detected pickle protocol:UserWarning")
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=str(case).encode("unicode_escape").decode(), marks=() if quick else pytest.mark.full)
        for case in (*ESCAPES, *FILES)
        for quick in [any(text in case.name for text in QUICK)]
    ],
)
def test_nothing_gets_out(case: Hostile, tmp_path: Path) -> None:
    assert fault(case, tmp_path / "x") == ""


def test_there_are_as_many_as_the_table_says() -> None:
    assert len({case.name for case in ESCAPES}) >= 134
    assert len({case.name for case in FILES}) >= 84

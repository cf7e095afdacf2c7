"""Searches that are opened as processes would, and closed after the test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event
from tests.search.fakes import fake_settings, hurry

from tandem.search.trials import Trials

Make = Callable[..., Trials]


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """Every database of these tests is made quick."""
    event.listen(Engine, "connect", hurry)
    yield
    event.remove(Engine, "connect", hurry)


@pytest.fixture
def search(tmp_path: Path) -> Iterator[Make]:
    """Opens a search as a process would: `search(folder="mine", base="hash", n_trials=6)`."""
    opened = []

    def make(folder: str = "search", base: str = "base", **changes: Any) -> Trials:
        opened.append(Trials(fake_settings(tmp_path / folder, **changes), ["seed=1"], base))
        return opened[-1]

    yield make
    for trials in opened:
        trials.presence.end()

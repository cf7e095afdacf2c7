"""Real data, if available."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data: `$TANDEM_DATA`, else `../shared/data` beside the repository."""
    folder = Path(os.environ.get("TANDEM_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"real data is absent: {folder} is not a folder; set TANDEM_DATA")
    return folder


@pytest.fixture(scope="session")
def real_busi(shared_data: Path) -> Path:
    """The folder with the BUSI data set and its lists."""
    folder = shared_data / "busi_256"
    if not folder.is_dir():
        pytest.skip(f"the BUSI data set is absent: {folder} is not a folder; set TANDEM_DATA")
    return folder

"""Descriptions of data sets for tasks."""

import pytest

from tandem.data.datamodule import DataInfo


@pytest.fixture(scope="session")
def info() -> DataInfo:
    return DataInfo("made up", ("normal", "benign", "malignant"), 1)

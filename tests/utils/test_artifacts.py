"""A file of a later tandem is refused; one of an earlier is read."""

from pathlib import Path

import pytest

from tandem.errors import DataError
from tandem.utils.artifacts import SCHEMA, check_schema


@pytest.mark.parametrize("version", [None, 0, SCHEMA])
def test_what_this_version_can_read_is_read(version: object) -> None:
    check_schema(version, Path("results.json"))


@pytest.mark.parametrize(
    ("version", "message"),
    [(SCHEMA + 1, "written by a later tandem"), ("1", "is damaged"), (True, "is damaged"), (1.0, "is damaged")],
)
def test_what_it_could_misread_is_refused(version: object, message: str) -> None:
    with pytest.raises(DataError, match=rf"^results.json .*{message}"):
        check_schema(version, Path("results.json"))

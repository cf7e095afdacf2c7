"""Zip files of runs and papers: equal content gives equal bytes; what one holds is known before it is unpacked."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tandem.errors import DataError
from tandem.utils.files import write_whole

BEGINNING = (1980, 1, 1, 0, 0, 0)
"""The earliest date that a zip file can state; every member has it."""


def write_zip(path: Path, members: Mapping[str, bytes]) -> None:
    """Writes a zip file as a whole or not at all.

    Args:
        path: of the file.
        members: content by the name in the file.
    """

    def write(file: Any) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                info = zipfile.ZipInfo(name, BEGINNING)
                info.external_attr = 0o644 << 16
                archive.writestr(info, content, zipfile.ZIP_DEFLATED)

    write_whole(path, write)


def zip_members(path: Path, option: str) -> list[zipfile.ZipInfo]:
    """What a zip file says that it holds.

    Args:
        path: of the file.
        option: that names it, for the message.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.infolist()
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{option}={path} is not a readable zip file ({error})") from error

"""Errors of reading a DICOM or NIfTI file, in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tandem.errors import ConfigError, DataError


@contextmanager
def scan_errors(path: Path) -> Iterator[None]:
    """Turns whatever a damaged file raises into one line, which quotes nothing of the file.

    Args:
        path: the file that is read inside.

    Raises:
        DataError: the file is absent or damaged.
    """
    try:
        yield
    except (DataError, ConfigError):
        raise
    except FileNotFoundError as error:
        raise DataError(f"image {str(path)!r} does not exist: restore the file") from error
    except Exception as error:  # decoders may raise anything for a damaged file
        raise DataError(
            f"image {str(path)!r} is truncated or damaged ({type(error).__name__}): export it again"
        ) from None

"""Limits of what a file may claim, checked before memory is used."""

from pathlib import Path

from tandem.errors import DataError


def check_pixels(path: Path, width: int, height: int) -> int:
    """Returns the largest number of pixels of an image, that of Pillow.

    Raises:
        DataError: the image has more, or none.
    """
    from PIL import Image

    most = Image.MAX_IMAGE_PIXELS or 2**27
    if width < 1 or height < 1:
        raise DataError(f"image {str(path)!r} has no pixels ({width}x{height}): export it again")
    if width * height > most:
        raise DataError(f"image {str(path)!r} is too large ({width}x{height}, more than {most} pixels): shrink it")
    return most


def check_room(path: Path, has: int, needs: int, line: int) -> None:
    """Checks that a file holds as many bytes of pixels as its header says.

    Args:
        path: the file.
        has: bytes of pixels in it.
        needs: bytes by its header.
        line: bytes of its shorter side; more than that left over means that the header gives another size.

    Raises:
        DataError: it holds fewer, or a line or more too many.
    """
    if has < needs:
        raise DataError(f"image {str(path)!r} is truncated ({has} of {needs} bytes of pixels): export it again")
    if has - needs >= max(2, line):
        raise DataError(
            f"image {str(path)!r} holds more pixels than its header states ({has} bytes for {needs}): export it again"
        )

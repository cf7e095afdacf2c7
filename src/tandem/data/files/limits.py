"""Limits of what a file may claim, checked before memory is used."""

from pathlib import Path

from tandem.errors import DataError


def most_pixels() -> int:
    """The largest number of pixels of an image, that of Pillow."""
    from PIL import Image

    return Image.MAX_IMAGE_PIXELS or 2**27


def check_pixels(path: Path, width: int, height: int) -> None:
    """Checks the size that a header states.

    Raises:
        DataError: the image has more pixels than `most_pixels`, or none.
    """
    most = most_pixels()
    if width < 1 or height < 1:
        raise DataError(f"image {str(path)!r} has no pixels ({width}x{height}): export it again")
    if width * height > most:
        raise DataError(f"image {str(path)!r} is too large ({width}x{height}, more than {most} pixels): shrink it")


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

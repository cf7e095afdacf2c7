"""Names of files: their stems, and which of two files of one name to propose."""

import os
from collections.abc import Sequence
from unicodedata import normalize

LOSSLESS = (".png", ".bmp", ".tif", ".tiff", ".pgm", ".ppm", ".pbm", ".pnm")
LOSSY = (".jpg", ".jpeg")


def nfc(text: str) -> str:
    """Text with each accented letter as one character (Unicode's NFC); macOS writes names in the other form, NFD."""
    return text if text.isascii() else normalize("NFC", text)


def is_utf8(text: str) -> bool:
    r"""Whether a file's name is text; Python keeps other bytes as surrogates.

    Example:
        >>> is_utf8("é.png"), is_utf8("\udce9.png")
        (True, False)
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def preferred(endings: Sequence[str]) -> str | None:
    """The only lossless ending beside lossy ones; None if that is not what they are.

    Example:
        >>> preferred([".jpg", ".bmp"]), preferred([".png", ".bmp"]), preferred([".jpg", ".jpeg"])
        ('.bmp', None, None)
    """
    exact = [ending for ending in endings if ending in LOSSLESS]
    lossy = [ending for ending in endings if ending in LOSSY]
    return exact[0] if len(exact) == 1 and len(lossy) == len(endings) - 1 else None


def ending_of(name: str) -> str:
    """The ending of a file's name in lower case, with the dot.

    Example:
        >>> ending_of("a/b.NII.gz"), ending_of("a.b/LICENSE"), ending_of("c.x.PNG")
        ('.nii.gz', '', '.png')
    """
    stem, last = os.path.splitext(name)  # noqa: PTH122  # faster than a Path for each of many files
    inner = os.path.splitext(stem)[1] if last.lower() == ".gz" else ""  # noqa: PTH122
    return f"{inner}{last}".lower()

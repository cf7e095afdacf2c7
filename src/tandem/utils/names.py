"""Names that come from files: they are no paths, and text alone to a terminal and to a spreadsheet."""

import re

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""

LONGEST = 150

_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def is_name(text: object) -> bool:
    r"""Whether a text can be the name of a file in any folder, and of nothing else.

    Example:
        >>> [is_name(text) for text in ("table_1", "two words", "../evil", "a/b", "", ".hidden", "a\x1b[2J")]
        [True, True, False, False, False, False, False]
    """
    return (
        isinstance(text, str)
        and 0 < len(text) <= LONGEST
        and text == text.strip()
        and not text.startswith(".")
        and not any(character in '/\\:*?"<>|' for character in text)
        and text.isprintable()
    )


def printable(text: str) -> str:
    r"""Text in which control characters, among them a terminal's escape sequences, are written as escapes.

    Lines and tabs of a text stay. Characters that turn the direction of writing are escaped too: they can show a name
    backwards. Joiners, which some scripts need, stay.

    Example:
        >>> printable("\x1b[2Jbenign"), printable("ü\u202eknil")
        ('\\x1b[2Jbenign', 'ü\\u202eknil')
    """
    return text if text.isprintable() else _HIDDEN.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def as_cell(text: str) -> str:
    """A name as the cell of a csv file: a spreadsheet takes it for text, never for a formula. Numbers stay numbers.

    Example:
        >>> as_cell("=cmd.png"), as_cell("a.png"), as_cell("'quoted'"), as_cell("-3")
        ("'=cmd.png", 'a.png', "''quoted'", '-3')
    """
    return f"'{text}" if text.startswith((*FORMULA, "'")) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def from_cell(cell: str) -> str:
    """The name that `as_cell` wrote.

    Example:
        >>> from_cell("'=cmd.png"), from_cell("a.png"), from_cell("''quoted'")
        ('=cmd.png', 'a.png', "'quoted'")
    """
    return cell[1:] if cell.startswith("'") and cell[1:].startswith((*FORMULA, "'")) else cell

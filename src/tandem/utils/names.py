"""Names that come from files: they are no paths, and text alone to a terminal and to a spreadsheet."""

import unicodedata

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""

LONGEST = 150


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
        and text == printable(text)
    )


def printable(text: str) -> str:
    r"""Text in which control characters, among them a terminal's escape sequences, are written as escapes.

    Lines and tabs of a text stay. Characters that turn the direction of writing are escaped too: they can show a name
    backwards.

    Example:
        >>> printable("\x1b[2Jbenign"), printable("ü\u202eknil")
        ('\\x1b[2Jbenign', 'ü\\u202eknil')
    """
    if text.isprintable():
        return text
    return "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    shown = character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
    return character if shown else character.encode("unicode_escape", "backslashreplace").decode()


def as_cell(text: str) -> str:
    """A name as the cell of a csv file: a spreadsheet takes it for text, never for a formula.

    Example:
        >>> as_cell("=cmd.png"), as_cell("a.png"), as_cell("'quoted'")
        ("'=cmd.png", 'a.png', "''quoted'")
    """
    return f"'{text}" if text.startswith((*FORMULA, "'")) else text


def from_cell(cell: str) -> str:
    """The name that `as_cell` wrote.

    Example:
        >>> from_cell("'=cmd.png"), from_cell("a.png"), from_cell("''quoted'")
        ('=cmd.png', 'a.png', "'quoted'")
    """
    return cell[1:] if cell.startswith("'") and cell[1:].startswith((*FORMULA, "'")) else cell

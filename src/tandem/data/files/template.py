"""Templates of paths, such as `{class}/{id}_mask*`."""

import re

from tandem.data.files.images import ENDINGS
from tandem.data.files.names import ending_of, nfc
from tandem.errors import ConfigError

FIELDS = ("id", "class", "group", "split")


class Template:
    """A template for a path below the root.

    `{id}`, `{class}`, `{group}` and `{split}` each match one name without a slash; a field that occurs twice must match
    the same text in both places. `*` matches any text without a slash. A template that ends with the ending of an image
    file (`{id}_lesion.bmp`) matches files with this ending only, any other template matches files with any ending.
    Letters with accents match in both of Unicode's spellings (NFC and NFD).

    Args:
        text: the template.
        where: its option, for error messages.

    Attributes:
        text: the template.
        where: its option.
        ending: the ending that it demands, in lower case; empty for any.
        fields: the fields that occur in it.
        depth: number of names in the path.

    Raises:
        ConfigError: an unknown field, no `{id}`, an absolute path or a path that leads out of the root.

    Example:
        >>> Template("{class}/{id}_mask*", "data.masks").match("benign/b (1)_mask_2")
        {'class': 'benign', 'id': 'b (1)'}
    """

    def __init__(self, text: str, where: str) -> None:
        self.text, self.where = text, where
        suffix = ending_of(text)
        self.ending = suffix if suffix in ENDINGS else ""
        pattern = ""
        self.fields: list[str] = []
        for part in re.split(r"(\{[^{}]*\}|\*)", nfc(text[: len(text) - len(self.ending)])):
            name = part[1:-1]
            if part == "*":
                pattern += "[^/]*"
            elif not part.startswith("{"):
                pattern += re.escape(part)
            elif name not in FIELDS:
                known = ", ".join(f"{{{field}}}" for field in FIELDS)
                raise ConfigError(f"{where} is {text!r}, but {part} is not one of {known}")
            else:
                pattern += f"(?P={name})" if name in self.fields else f"(?P<{name}>[^/]+)"
                self.fields += [name] if name not in self.fields else []
        if "id" not in self.fields:
            raise ConfigError(f"{where} is {text!r}, but needs {{id}}, the name of an image")
        if text.startswith("/") or ".." in text.split("/"):
            raise ConfigError(f"{where} is {text!r}, but must lie below data.root")
        self.pattern, self.depth = re.compile(pattern), text.count("/") + 1

    def match(self, stem: str, ending: str = "") -> dict[str, str] | None:
        """Returns the text (NFC) that each field matches in a path, or None if the path does not match.

        Args:
            stem: the path without the file's ending.
            ending: the ending, in any case.
        """
        if self.ending and ending.lower() not in ("", self.ending):
            return None
        found = self.pattern.fullmatch(nfc(stem))
        return found and found.groupdict()

    def with_ending(self, ending: str) -> str:
        """The option that demands an ending, as it is typed in a shell.

        Example:
            >>> print(Template("{id}_lesion", "data.masks").with_ending(".bmp"))
            'data.masks="{id}_lesion.bmp"'
        """
        return typed(self.where, self.text[: len(self.text) - len(self.ending)] + ending)


def typed(option: str, value: str) -> str:
    """An option as it is typed in a shell; Hydra needs quotes around braces.

    Example:
        >>> print(typed("data.images", "{id}"), typed("data.masks", "masks/x"))
        'data.images="{id}"' data.masks=masks/x
    """
    plain = re.fullmatch(r"[\w./-]+", value, re.ASCII) is not None
    return f"{option}={value}" if plain else f"'{option}=\"{value}\"'"

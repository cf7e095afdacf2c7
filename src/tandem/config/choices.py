"""What can be chosen, read from the yaml files: groups, their options, keys, and the comments that explain them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tandem.config.shipped import config_folder

PARTS = ("shared", "local")
"""Names of the folders with parts of other options, and a person's own paths, which nobody chooses."""

_DEFAULT = re.compile(r"^  - (?:override )?/?([\w/]+(?:@[\w.]+)?): ([^#]+?)\s*(?:# (.*))?$")
_FILE = re.compile(r"^  - (\w+)$")
_KEY = re.compile(r"^(?:# )?([A-Za-z]\w*):(?: ([^#]*?))?\s*(?:# (.*))?$")


@dataclass(frozen=True)
class Choice:
    """A line of a defaults list.

    Attributes:
        place: the group, with `@package` if it has one.
        chosen: the option, `null` for none, or `[one, other]`.
        comment: behind it; may be empty.
    """

    place: str
    chosen: str
    comment: str

    @property
    def group(self) -> str:
        """The group alone."""
        return self.place.partition("@")[0]


@dataclass(frozen=True)
class Key:
    """A key at the root of a configuration.

    Attributes:
        name: of the key.
        value: its default as written; empty if it has keys of its own.
        comment: behind it; may be empty.
        lines: the key as written, with what lies below it.
    """

    name: str
    value: str
    comment: str
    lines: tuple[str, ...]


class Shelf:
    """The yaml files of some folders: the shipped one, and those of `--config-dir`.

    Args:
        more: further folders; an option of the shipped folder hides one of the same name.
    """

    def __init__(self, more: Sequence[Path] = ()) -> None:
        self.folders = (config_folder(), *more)

    def groups(self) -> list[str]:
        """Every group, such as `data` and `loss/binary`."""
        below = {path.parent.relative_to(folder) for folder in self.folders for path in folder.rglob("*.yaml")}
        return sorted(str(group.as_posix()) for group in below if group.parts and group.parts[-1] not in PARTS)

    def options(self, group: str) -> dict[str, Path]:
        """The options of a group by name; those of its subgroups are not among them."""
        found = {path.stem: path for folder in reversed(self.folders) for path in (folder / group).glob("*.yaml")}
        return dict(sorted(found.items()))

    def within(self, group: str) -> list[str]:
        """A group and its subgroups, as far as they have options: `loss` stands for `loss/binary` and others."""
        return [one for one in self.groups() if one == group or one.startswith(f"{group}/")]

    def nested(self, choices: Sequence[Choice]) -> Iterator[Choice]:
        """The choices inside of chosen options, such as the loss of a chosen task."""
        for choice in choices:
            options = self.options(choice.group)
            for name in re.findall(r"\w+", choice.chosen):
                if name in options:
                    yield from (inner for inner in choices_of(options[name]) if "@" in inner.place)


def summary(path: Path) -> str:
    """The first comment of a yaml file; empty if it has none."""
    for line in _lines(path):
        if not line.startswith("#"):
            break
        if not line.startswith("# @package"):
            return line.removeprefix("#").strip()
    return ""


def choices_of(path: Path) -> list[Choice]:
    """The choices in the defaults list of a file, without schemas and parts.

    Args:
        path: of the file.
    """
    found = []
    for block in _blocks(path):
        if block[0].startswith("defaults:"):
            found += [match.groups() for line in block[1:] if (match := _DEFAULT.match(line))]
    listed = [Choice(place, chosen.strip(), comment or "") for place, chosen, comment in found]
    return [choice for choice in listed if not choice.group.startswith("hydra/")]


def groups_of(path: Path) -> set[str]:
    """The groups, without their subgroups, that a command chooses from: its file's and those of the file it builds on.

    Args:
        path: of the command's file.
    """
    built_on = [match[1] for block in _blocks(path) for line in block[1:] if (match := _FILE.match(line))]
    own = {choice.group.partition("/")[0] for choice in choices_of(path)}
    files = [file for name in built_on if (file := path.with_name(f"{name}.yaml")).exists()]
    return own.union(*map(groups_of, files))


def keys_of(path: Path) -> list[Key]:
    """The keys at the root of a file, also those that stand there as a comment, `# key: default # explanation`.

    Args:
        path: of the file.
    """
    found = []
    for block in _blocks(path):
        match = _KEY.match(block[0])
        if match and match[1] not in ("defaults", "hydra") and not (block[0].startswith("#") and match[3] is None):
            found.append(Key(match[1], (match[2] or "").strip(), match[3] or "", tuple(block)))
    return found


def _blocks(path: Path) -> Iterator[list[str]]:
    """Each line that is not indented, with the indented lines below it."""
    block: list[str] = []
    for line in _lines(path):
        if line.startswith(" ") and block:
            block.append(line)
        elif line.strip():
            if block:
                yield block
            block = [line]
    if block:
        yield block


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()

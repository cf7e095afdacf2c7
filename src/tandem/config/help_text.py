"""What `--help` prints: a page of choices, the options of a group, or one option with its comments."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import wrap

from tandem.config.choices import Choice, Key, Shelf, choices_of, keys_of, summary
from tandem.config.suggest import nearest
from tandem.errors import ConfigError
from tandem.utils.commands import respelled
from tandem.utils.names import printable

WIDTH = 100
"""Columns of a line."""

HEIGHT = 40
"""Lines of a page; explanations are cut where it would be longer."""

BELOW = "train"
"""The configuration whose options `find_lr` and `search` take too."""


def help_text(primary: str, words: Sequence[str] = (), more: Sequence[Path] = ()) -> str:
    """The text of a command's `--help`.

    Args:
        primary: name of the command's configuration.
        words: what to explain: a group (`data`), an option (`data=folder`) or a key (`loader`); none: the overview.
        more: folders of `--config-dir`.

    Raises:
        ConfigError: a word is none of these.
    """
    shelf = Shelf(more)
    if not words:
        pages = [list(_overview(primary, shelf, whole)) for whole in (True, False)]
        return printable("\n".join(pages[0] if len(pages[0]) <= HEIGHT else pages[1]))
    return printable("\n\n".join("\n".join(_explained(word, primary, shelf)) for word in words))


def _overview(primary: str, shelf: Shelf, whole: bool) -> Iterator[str]:
    file = shelf.folders[0] / f"{primary}.yaml"
    header, footer = _head_and_foot(file)
    yield from header
    listed = choices_of(file)
    choices = [*listed, *_unlike(shelf.nested(listed), listed)]
    if any(choice.group == "loss/binary" for choice in choices):
        yield "Choices (--help data: the options of a group; --help data=folder: one option with its keys)"
    elif choices:
        yield f"Choices (--help {choices[0].group}: its options; --help {choices[0].group}=OPTION: one with its keys)"
    yield from _table([(f"{one.place}={one.chosen}", _told(one, shelf)) for one in choices], whole)
    keys = keys_of(file)
    if keys:
        yield "Keys" + (" (--help loader: those below one)" if primary == BELOW else "")
    yield from _table([_shown(key) for key in keys], whole)
    yield from footer


def _unlike(nested: Iterator[Choice], listed: Sequence[Choice]) -> Iterator[Choice]:
    known = {choice.place for choice in listed}
    for choice in nested:
        if choice.place not in known:
            known.add(choice.place)
            yield choice


def _told(choice: Choice, shelf: Shelf) -> str:
    """A choice in words: its comment, and how many options there are, with their names as far as they fit."""
    names = list(shelf.options(choice.group))
    return f"{choice.comment + ': ' if choice.comment else ''}{', '.join(names)}"


def _shown(key: Key) -> tuple[str, str]:
    inner = [line.strip() for line in key.lines[1:] if line.startswith("  ") and not line.startswith("   ")]
    if key.value or not inner:
        return f"{key.name}={key.value}", key.comment
    pairs = ", ".join(line.partition(" #")[0].replace(": ", "=").strip() for line in inner)
    return f"{key.name}.", f"{pairs}{' # ' + key.comment if key.comment else ''}"


def _explained(word: str, primary: str, shelf: Shelf) -> Iterator[str]:
    place, chosen, option = word.lstrip("+~").partition("=")
    group = place.partition("@")[0]
    inside = shelf.within(group)
    if inside and chosen:
        yield from _one(group, inside, option, shelf)
    elif inside:
        for one in inside:
            yield f"{one}="
            yield from _table([(name, summary(path)) for name, path in shelf.options(one).items()], whole=True)
    else:
        yield from _key(place, primary, shelf)


def _one(group: str, inside: Sequence[str], option: str, shelf: Shelf) -> Iterator[str]:
    """One option as written, of each group that has it."""
    names = [name.strip() for name in option.strip("[]").split(",")]
    known = [name for one in inside for name in shelf.options(one)]
    for name in names:
        if name not in known:
            raise ConfigError(f"no option '{name}' in the config group '{group}': {nearest(name, known)}")
    found = [(one, name) for name in names for one in inside if name in shelf.options(one)]
    for number, (one, name) in enumerate(found):
        if number:
            yield ""
        path = shelf.options(one)[name]
        yield f"{one}={name}"
        yield from path.read_text(encoding="utf-8", errors="replace").rstrip().splitlines()
        for base in _bases(path, one, shelf):
            yield f"and the keys of {one}={base} (--help {one}={base})"


def _bases(path: Path, group: str, shelf: Shelf) -> list[str]:
    """The options of the same group that an option is built on."""
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = [line.strip().removeprefix("- ") for line in text.splitlines() if line.startswith("  - ")]
    return [line for line in lines if line in shelf.options(group)]


def _key(place: str, primary: str, shelf: Shelf) -> Iterator[str]:
    """A key at the root, with what lies below it; or a key of the options of a group, such as `data.root`."""
    files = [shelf.folders[0] / f"{name}.yaml" for name in dict.fromkeys((primary, BELOW))]
    keys = {key.name: key for file in reversed(files) for key in keys_of(file)}
    first, _, last = place.partition(".")
    if first in keys:
        yield from keys[first].lines
        return
    found = [
        (f"{group}={name}", line.strip())
        for group in shelf.within(first)
        for name, path in shelf.options(group).items()
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
        if last and line.startswith(f"{last}:")
    ]
    if not found:
        valid = {*keys, *shelf.groups(), *(group.partition("/")[0] for group in shelf.groups())}
        raise ConfigError(f"--help {place}: no such group or key; {nearest(place, valid)}")
    yield from _table(found)


def _head_and_foot(file: Path) -> tuple[list[str], list[str]]:
    """The header and the examples in a configuration's own section of Hydra."""
    from omegaconf import OmegaConf

    texts = OmegaConf.load(file).hydra.help
    return [respelled(str(texts[part])).rstrip().splitlines() for part in ("header", "footer")]  # type: ignore[return-value]


def _table(rows: Sequence[tuple[str, str]], whole: bool = False) -> Iterator[str]:
    """Two columns; what is longer than a line is cut, or goes on below if it is to be whole."""
    wide = min(max((len(left) for left, _ in rows), default=0), 36)
    for left, right in rows:
        line = f"  {left:<{wide}}  {right}".rstrip()
        if whole:
            yield from wrap(line, WIDTH, subsequent_indent=" " * (wide + 4), break_on_hyphens=False) or [line]
        else:
            yield line if len(line) <= WIDTH else f"{line[: WIDTH - 3].rsplit(' ', 1)[0].rstrip(',.;:')}..."

"""The reference of all options, made from the comments of `conf/`: one page for each group."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tandem.config.choices import choices_of

CONF = Path(__file__).parents[1] / "conf"

GROUPS = {
    "data": "What the network is trained on.",
    "augment": "How training images are varied.",
    "task": "What is asked about an image. Several: `task=[classification,segmentation]`.",
    "network": "Backbone and decoder, shared by all tasks.",
    "loss/binary": "Losses of yes/no targets: a lesion mask, a finding, a yes/no question.",
    "loss/multiclass": "Losses of targets with one answer among several.",
    "loss/regression": "Losses of numbers.",
    "loss/embedding": "Losses of embeddings, which put images of one class together.",
    "metrics": "What is measured beside the loss.",
    "adversary": "A discriminator of masks, whose verdict is a term of the loss.",
    "refine": "Answers of two tasks made consistent, in a paper's tables.",
    "balance": "How the losses of the tasks become one.",
    "penalties": "Penalties on the weights.",
    "optimizer": "What updates the weights.",
    "scheduler": "How the learning rate changes over the epochs.",
    "trainer": "Epochs, devices and precision: the options of Lightning's `Trainer`.",
    "performance": "How a run computes: float32 as it is, or the fastest settings within a tolerance.",
    "callbacks": "What watches and records a run.",
    "logger": "Where a run is shown: trackers. Several: `logger=[tensorboard,mlflow]`.",
    "experiment": "Complete settings of a run under a name.",
    "study": "Sweeps under a name.",
    "search": "Spaces of an adaptive search.",
    "search/pruner": "How poor trials of a search are ended.",
    "paper": "Papers: their sweeps, tables, figures and published numbers.",
    "hydra/launcher": "How the jobs of a sweep are run.",
}
"""What each group answers, in the order of the pages."""

HIDDEN = ("hydra", "defaults")
"""Top-level keys that are Hydra's own."""

AS_WRITTEN = ("experiment", "study", "search", "paper")
"""Groups of which the reader wants to see the files themselves: settings and contents under a name."""

UNSEEN = ("_self_", "schema_", "shared/tool")
"""Defaults that add nothing to type."""

EXAMPLES = ("segmentation", "classification", "number", "embedding")
"""Tasks that stand for all others where a group belongs to a task."""

TARGET = "_target_"
"""The key of a class."""

LINE = re.compile(r"""^(?P<indent>\s*)(?P<key>"[^"]*"|[^\s:#\[{][^:#]*?):(?P<rest>\s.*|)$""")


@dataclass(frozen=True)
class Option:
    """A line of a yaml file: dotted name, default as it is written, and comment."""

    name: str
    default: str
    comment: str


@dataclass(frozen=True)
class Choice:
    """A yaml file.

    Attributes:
        name: what is typed, such as `focal`.
        about: the comments at its top.
        options: its lines, without those of Hydra.
        chosen: what it chooses from other groups, as it would be typed.
        parents: other files whose options it has too.
        whole: whether its names are those of the whole configuration.
        text: the file without the comments at its top.
    """

    name: str
    about: str
    options: tuple[Option, ...]
    chosen: tuple[str, ...]
    parents: tuple[str, ...]
    whole: bool
    text: str

    @property
    def target(self) -> str | None:
        """The class or function that it names."""
        return next((option.default for option in self.options if option.name == TARGET), None)


def cut_comment(text: str) -> tuple[str, str]:
    """Splits a line's value from its comment; a `#` inside quotes starts none.

    Example:
        >>> cut_comment('"#aabbcc" # a colour')
        ('"#aabbcc"', 'a colour')
    """
    quote = ""
    for place, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter == "#" and (place == 0 or text[place - 1].isspace()):
            return text[:place].strip(), text[place + 1 :].strip()
    return text.strip(), ""


def read(path: Path, name: str) -> Choice:
    """Reads one yaml file with its comments."""
    lines = path.read_text(encoding="utf-8").splitlines()
    count = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    top = [line.lstrip("# ") for line in lines[:count]]
    about = " ".join(line for line in top if not line.startswith("@package"))
    body = lines[count:]
    start = "\n".join(body)
    parents = re.findall(r"^  - ([\w/]+?)(?:@_here_)?$", start, flags=re.MULTILINE)
    return Choice(
        name=name,
        about=about,
        options=tuple(_options(body)),
        chosen=tuple(f"{one.place}={one.chosen}" for one in choices_of(path) if one.chosen != "null"),
        parents=tuple(parent for parent in parents if not parent.strip("/").startswith(UNSEEN)),
        whole="@package _global_" in "\n".join(lines[:count]),
        text="\n".join(body).strip(),
    )


def _options(lines: list[str]) -> Iterator[Option]:
    """Every key with a value; a key that holds further keys only if it has a comment."""
    open_keys: list[tuple[int, str]] = []
    for number, line in enumerate(lines):
        match = LINE.match(line)
        if match is None:
            continue
        indent = len(match["indent"])
        open_keys = [*(pair for pair in open_keys if pair[0] < indent), (indent, match["key"].strip('"'))]
        if open_keys[0][1] in HIDDEN:
            continue
        default, comment = cut_comment(match["rest"])
        if not default:
            default = _block(lines[number + 1 :], indent)
        if default or comment:
            yield Option(".".join(key for _, key in open_keys), default, comment)


def _block(lines: list[str], indent: int) -> str:
    """The items of a list that is written below its key, as one line."""
    items = []
    for line in lines:
        if not line.startswith(f"{' ' * (indent + 2)}- "):
            break
        items.append(cut_comment(line.strip()[2:])[0])
    return f"[{', '.join(items)}]" if items else ""


def choices(group: str) -> list[Choice]:
    """The choices of a group, and after them what several of them share."""
    own = [read(path, path.stem) for path in sorted((CONF / group).glob("*.yaml"))]
    return own + [read(path, f"shared/{path.stem}") for path in sorted((CONF / group / "shared").glob("*.yaml"))]


def places() -> dict[str, str]:
    """Where a group that belongs to a task is put: `loss/binary` in `tasks.segmentation.loss`."""
    found: dict[str, str] = {"refine": "paper.refine"}
    for task in EXAMPLES:
        text = (CONF / "task" / f"{task}.yaml").read_text(encoding="utf-8")
        found = {**dict(re.findall(r"- /([\w/]+)@(tasks\.\w+\.\w+):", text)), **found}
    return found


def typed(group: str) -> tuple[str, str]:
    """What is typed before `=` to choose from a group, and what its options' names begin with."""
    place = places().get(group)
    return (f"{group}@{place}", f"{place}.") if place else (group, f"{group.replace('/', '.')}.")


def escape(text: str) -> str:
    """Plain text as Markdown for a cell of a table; what is between backticks stays code."""
    parts = text.split("`")
    plain = [re.sub(r"([\\*_<>\[\]{}$#|~])", r"\\\1", part) for part in parts[::2]]
    code = [f"`{part}`".replace("|", r"\|") for part in parts[1::2]]
    return "".join(a + b for a, b in zip(plain, [*code, ""], strict=False))


def code(text: str) -> str:
    """A value as code in a cell of a table."""
    return f"`{text.replace('|', chr(92) + '|')}`" if text else ""


def section(choice: Choice, title: str, prefix: str) -> str:
    """The part of a page about one choice."""
    lines = [f"## {title}", ""]
    lines += [escape(choice.about), ""] if choice.about else []
    lines += [f"Class: `{choice.target}`", ""] if choice.target else []
    if choice.chosen:
        lines += [f"Chooses {', '.join(f'`{chosen}`' for chosen in choice.chosen)}.", ""]
    if choice.parents:
        lines += [f"Also has the options of {', '.join(f'`{parent}`' for parent in choice.parents)}.", ""]
    if rows := rows_of(choice):
        lines += [f"Options, set with `{prefix}NAME=VALUE`:", ""] if prefix and not choice.whole else []
        lines += ["| option | default | meaning |", "| --- | --- | --- |"]
        lines += [f"| {code(row.name)} | {code(row.default)} | {escape(row.comment)} |" for row in rows]
    return "\n".join([*lines, ""])


def rows_of(choice: Choice) -> list[Option]:
    """The options of a table; a part of a choice has its class as default."""
    found: dict[str, Option] = {}
    for option in choice.options:
        if option.name == TARGET:
            continue
        if option.name.endswith(f".{TARGET}"):
            part, name = option.name.removesuffix(f".{TARGET}"), option.default.rpartition(".")[2]
            found[part] = Option(part, name, found[part].comment if part in found else option.comment)
        else:
            found[option.name] = option
    return list(found.values())


def group_page(group: str) -> str:
    """The page of one group."""
    chosen, prefix = typed(group)
    head = [f"# {group}", "", GROUPS[group], "", f"Choose with `{chosen}=NAME`.", ""]
    if group in AS_WRITTEN:
        return "\n".join([*head, *(as_written(choice) for choice in choices(group))])
    return "\n".join([*head, *(section(choice, choice.name, prefix) for choice in choices(group))])


def as_written(choice: Choice) -> str:
    """The part of a page about one choice, with its file."""
    return "\n".join([f"## {choice.name}", "", escape(choice.about), "", "```yaml", choice.text, "```", ""])


def command_page() -> str:
    """The page of the options that are in no group."""
    files = sorted(CONF.glob("*.yaml"), key=lambda path: (path.stem != "train", path.stem))
    head = ["# Options of the commands", "", "What can be typed beside the choices of the groups.", ""]
    return "\n".join([*head, *(section(read(path, path.stem), path.stem, "") for path in files)])


def file_name(group: str) -> str:
    """The page of a group: `loss_binary`."""
    return group.replace("/", "_")


def write(folder: Path) -> None:
    """Writes the pages of all groups, of the commands, and the list of them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "commands.md").write_text(command_page(), encoding="utf-8")
    rows = [f"| [{group}]({file_name(group)}.md) | {about} |" for group, about in GROUPS.items()]
    for group in GROUPS:
        (folder / f"{file_name(group)}.md").write_text(group_page(group), encoding="utf-8")
    entries = "\n".join(["commands", *(file_name(group) for group in GROUPS)])
    text = [
        "# Options",
        "",
        "Every option with its default and meaning, from the comments of the yaml files in `conf/`. Choose from a",
        "group with `group=name`, and set an option with `name=value`. If a name is unknown, the error suggests the",
        "nearest one.",
        "",
        "| group | what it answers |",
        "| --- | --- |",
        *rows,
        "| [commands](commands.md) | What can be typed beside these choices. |",
        "",
        "```{toctree}",
        ":hidden:",
        "",
        entries,
        "```",
        "",
    ]
    (folder / "index.md").write_text("\n".join(text), encoding="utf-8")

"""Reads pages of Markdown, and types their commands one after the other, made small by options that are added."""

import importlib
import os
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]

SMALL = [
    "data.size=32",
    "trainer.max_epochs=1",
    "trainer.accelerator=cpu",
    "loader.batch_size=12",
    "trainer.enable_progress_bar=false",
    "callbacks.panels.count=1",
]
FEW = ["data.train=12", "data.val=12", "data.test=12", "data.seed=3"]
SHARES = ["data.fractions={train: 0.5, val: 0.25, test: 0.25}"]
MADE_SMALL = {
    "evaluate": ["samples=20", "cases=1"],
    "export": ["format=torch"],
    "plan": ["calibrate=false"],
    "search": ["search.n_trials=1", "network.backbone=small_cnn"],
    "find_lr": ["network.backbone=small_cnn"],
    "explain_loss": ["masks=8", "data.size=32", *FEW],
}
"""What makes a command small, beside the options of training."""

TRAINING = ("train", "find_lr", "search")
"""Commands that take the options of training."""

PACKAGES = {"audit_data": "audit", "reproduce": "paper"}
"""Packages of commands that are named otherwise."""


@dataclass(frozen=True)
class Block:
    """A block of code: its language, its text, and the file that its first line names, if it is one."""

    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The path in a comment on the first line, after the package that Hydra wants first."""
        found = re.match(r"(?:# @package \S+\n)?# ([\w/]+\.(?:py|yaml))\n", self.text)
        return found[1] if found else None


def blocks(page: Path) -> list[Block]:
    """All blocks of code of a page, from top to bottom."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [Block(language, text) for language, text in found]


def commands(page: Path) -> list[str]:
    """Each command line of a page's shell blocks, without comments."""
    return [command for block in blocks(page) if block.language == "sh" for command in lines(block)]


def lines(block: Block) -> list[str]:
    """The commands of a shell block; a backslash at the end of a line joins it to the next one."""
    joined = re.sub(r" \\\n\s*", " ", block.text)
    typed = (line.split(" # ")[0].strip() for line in joined.splitlines())
    return [line for line in typed if line and not line.startswith("#")]


def package(command: str) -> str | None:
    """The package of tandem that a command runs; None: it is no command of tandem.

    Example:
        >>> package(".venv/bin/tandem-show-data data=busi"), package("python scripts/reproduce.py paper=quick")
        ('show_data', 'paper')
    """
    found = re.match(r"(?:\.venv/bin/)?(?:tandem-|python scripts/)([\w-]+)", command)
    name = found[1].replace("-", "_") if found else None
    return PACKAGES.get(name, name) if name else None


def unfinished(command: str) -> bool:
    """Whether a command reproduces a paper that takes too long for a test."""
    return any(f"paper={name}" in command for name in ("curated_busi", "pneumoniamnist"))


class Typist:
    """Types commands in one folder and in this process.

    Args:
        folder: where they are typed; data sets are put there as they are needed.
        in_process: the fixture of that name.
        trees: the fixture of that name, which makes data sets.
        busi_tree: the fixture of that name.
        more: further options of training.
    """

    def __init__(
        self,
        folder: Path,
        in_process: Callable[..., Any],
        trees: Any,
        busi_tree: Callable[[int], Path],
        more: Sequence[str] = ("logger=none",),
    ) -> None:
        self.folder, self.in_process, self.trees, self.busi_tree, self.more = folder, in_process, trees, busi_tree, more

    def page(self, page: Path) -> None:
        """Does all that a page says, from top to bottom: files, commands, Python and what it prints."""
        names: dict[str, Any] = {}
        printed = None
        for block in blocks(page):
            if block.language == "text" and printed is not None:
                assert printed == block.text
            printed = None
            if block.file:
                (self.folder / block.file).parent.mkdir(parents=True, exist_ok=True)
                (self.folder / block.file).write_text(block.text, encoding="utf-8")
            elif block.language == "python":
                printed = self.execute(block.text, names)
            elif block.language == "sh":
                for command in lines(block):
                    self.type(command)

    def execute(self, text: str, names: dict[str, Any]) -> str:
        """Runs Python as it stands; gives what it printed."""

        def main() -> None:
            exec(compile(text, "page", "exec"), names)  # noqa: S102 - the page's own code, which is to be tested

        return str(self.in_process(main)().out)

    def type(self, command: str) -> str:
        """Runs a command; gives what it printed, and fails where it fails."""
        name = package(command)
        if name is None:
            return self.other(command)
        _, *words = shlex.split(self.placed(command))
        words = [word for word in words if not word.startswith("scripts/")]
        main = importlib.import_module(f"tandem.{name}").main
        done = self.in_process(main)(*words, *self.small(name, command))
        without_runs = name == "paper" and unfinished(command)  # which it says, and ends with 1
        assert done.code == without_runs, command + done.out[-3000:] + done.err[-3000:]
        shown = any(flag in command for flag in ("--help", "--cfg", "hydra/launcher=", "dermamnist"))
        assert name != "train" or shown or re.search("^(report|next): ", done.out, re.M), command + done.out
        return str(done.out)

    def other(self, command: str) -> str:
        """Commands of others: make is asked what it would do, TensorBoard what it would show."""
        from tests.test_readme import execute

        program, *words = shlex.split(command)
        if program == "make":
            return execute(["make", "--dry-run", *words], REPOSITORY)
        assert program == "tensorboard", f"{command}: not tandem's; put it into a text block"
        shown = execute([program, *words, "--inspect"], self.folder)
        assert "val/segmentation/dice" in shown
        return shown

    def small(self, name: str, command: str) -> list[str]:
        """Options that make a command small."""
        if "--help" in command or "--cfg" in command:
            return []
        if "hydra/launcher=" in command:  # sweeps through each launcher are in tests/jobs
            return ["--cfg", "hydra"]
        if "dermamnist" in command:  # which is not at hand
            return ["--cfg", "job"]
        if name == "paper":
            return self.of_paper(command)
        words = list(MADE_SMALL.get(name, []))
        if name in ("audit", "show_data", "write_shards"):
            words += ["data.size=32"]
        if name in TRAINING:
            words += [*SMALL, *self.more]
            words += [] if any(part in command for part in ("PATH", "data=", "experiment=plan_")) else FEW
        if "flag=breastmnist" in command:
            file = self.trees.medmnist(self.folder / "breastmnist.npz")
            words += ["data.download=false", "data.verify=false", f"data.file={file}", "data.size=28"]
        if "data.root=PATH" in command:
            words += SHARES if "data.folds" not in command else []
            words += ["data.groups=none"] if "Dataset_BUSI" in command else []
        return words

    def of_paper(self, command: str) -> list[str]:
        """The small paper is run, of the others the tables are written without their runs."""
        if unfinished(command):
            return ["launch=false"]
        return ["budget=test", "verify=1"] if "paper=" in command else []

    def placed(self, command: str) -> str:
        """The command with data sets where it says PATH, and with a run's name where it says HASH."""
        make: dict[str, Callable[[Path], Any]] = {
            "Dataset_BUSI_with_GT": lambda _: self.busi_tree(8),
            "folder": self.trees.folders,
            "images": self.trees.folders,
            "table": lambda root: self.trees.table(root, patient=lambda number: f"p{number // 2}"),
            "nnunet": self.trees.nnunet,
            "coco": self.trees.coco,
            "new": lambda root: self.trees.save(root / "new.png", self.trees.noise(5)),
            "pneumoniamnist.npz": lambda path: path.touch(),
            "curated_busi.csv": lambda path: path.write_text("class;id\nbenign;1\nmalignant;1\nnormal;1\n"),
        }
        for name in set(re.findall(r"PATH/([\w.]+)", command)):
            if not (self.folder / name).exists():
                make[name](self.folder / name)
        for found in set(re.findall(r"(runs/\w+)/HASH", command)):
            first = min(self.folder.glob(f"{found}/*/results.json"), key=os.path.getmtime).parent
            command = command.replace(f"{found}/HASH", f"{found}/{first.name}")
        return command.replace("PATH/", f"{self.folder}/")

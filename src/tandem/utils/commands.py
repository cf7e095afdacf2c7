"""The commands of tandem: their packages, scripts and installed names, and how a person types the next one."""

import re
import sys
from pathlib import Path

SCRIPTS = {
    "train": "train",
    "evaluate": "evaluate",
    "predict": "predict",
    "export": "export",
    "study": "study",
    "search": "search",
    "paper": "reproduce",
    "audit": "audit_data",
    "show_data": "show_data",
    "write_shards": "write_shards",
    "find_lr": "find_lr",
    "explain_loss": "explain_loss",
    "list_runs": "list_runs",
    "doctor": "doctor",
    "plan": "plan",
}
"""The package of each command, and its script in `scripts/`."""


def installed_name(package: str) -> str:
    """The name of a command where tandem is installed.

    Args:
        package: of the command.

    Example:
        >>> installed_name("show_data"), installed_name("paper"), installed_name("audit")
        ('tandem-show-data', 'tandem-reproduce', 'tandem-audit')
    """
    return "tandem-audit" if package == "audit" else f"tandem-{SCRIPTS[package].replace('_', '-')}"


def spelled(package: str, started: str | None = None) -> str:
    """How a person who started this command types another one: as a script, a module, or the installed command.

    Args:
        package: of the other command.
        started: the path that this process was started with; None: that of this process.

    Example:
        >>> spelled("study", "scripts/train.py"), spelled("study", "/usr/bin/tandem-train")
        ('python scripts/study.py', 'tandem-study')
        >>> spelled("paper", "/site-packages/tandem/train/__main__.py")
        'python -m tandem.paper'
    """
    path = Path(sys.argv[0] if started is None else started)
    if path.name == "__main__.py" and path.parent.name in SCRIPTS:
        return f"python -m tandem.{package}"
    if path.suffix == ".py" and path.stem in SCRIPTS.values():
        return f"python {path.with_name(f'{SCRIPTS[package]}.py')}"
    return installed_name(package)


def respelled(text: str, started: str | None = None) -> str:
    """A text in which each installed command is written as a person types it here.

    Args:
        text: such as the examples of a command's help.
        started: as of `spelled`.

    Example:
        >>> respelled("  tandem-find-lr data=busi, tandem-mtl", "scripts/train.py")
        '  python scripts/find_lr.py data=busi, tandem-mtl'
    """
    for package in sorted(SCRIPTS, key=len, reverse=True):
        name = re.escape(installed_name(package))
        to = spelled(package, started).replace("\\", r"\\")
        text = re.sub(rf"(?<![\w-]){name}(?=\s|$)", to, text)
    return text

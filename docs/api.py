"""The reference of the Python API: one page for each package, of its public names and their docstrings."""

import inspect
from importlib import import_module
from pathlib import Path
from types import FunctionType, ModuleType

PACKAGES = (
    "tandem",
    "tandem.losses",
    "tandem.losses.binary",
    "tandem.losses.multiclass",
    "tandem.losses.regression",
    "tandem.losses.embedding",
    "tandem.metrics",
    "tandem.balance",
    "tandem.tasks",
    "tandem.network",
    "tandem.callbacks",
    "tandem.trackers",
    "tandem.penalties",
    "tandem.adversarial",
    "tandem.data.source",
    "tandem.data.augment",
)
"""What may be imported by other code."""


def public(module: ModuleType) -> list[str]:
    """Classes and functions in `__all__`; without one, those that the module defines."""
    names = getattr(module, "__all__", None)
    if names is None:
        own = (name for name in vars(module) if not name.startswith("_"))
        names = [name for name in own if getattr(getattr(module, name), "__module__", None) == module.__name__]
    return [name for name in names if isinstance(getattr(module, name), type | FunctionType)]


def home(value: object) -> str:
    """The package of this list that an object belongs to: the longest name that its module begins with."""
    module = f"{getattr(value, '__module__', '')}."
    return max((name for name in PACKAGES if module.startswith(f"{name}.")), key=len, default="")


def page(name: str) -> str:
    """The page of one package, in reStructuredText; what a package below it has too is described there."""
    module = import_module(name)
    lines = [name, "=" * len(name), "", f".. automodule:: {name}", "   :no-members:", ""]
    below: dict[str, list[str]] = {}
    for item in public(module):
        value = getattr(module, item)
        if (owner := home(value)) != name and owner.startswith(f"{name}."):
            below.setdefault(owner, []).append(item)
        else:
            lines += ["", f".. auto{'class' if inspect.isclass(value) else 'function'}:: {name}.{item}"]
    for owner, items in below.items():
        lines += ["", f"Also from :doc:`{owner}`: {', '.join(f'``{item}``' for item in items)}."]
    return "\n".join([*lines, ""])


def write(folder: Path) -> None:
    """Writes the pages of all packages and the list of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in PACKAGES:
        (folder / f"{name}.rst").write_text(page(name), encoding="utf-8")
    rows = [f"| [`{name}`]({name}.rst) | {about(name)} |" for name in PACKAGES]
    text = [
        "# Python API",
        "",
        "What other code may import. Names that are not listed here may change without notice.",
        "",
        "| module | content |",
        "| --- | --- |",
        *rows,
        "",
        "```{toctree}",
        ":hidden:",
        "",
        *PACKAGES,
        "```",
        "",
    ]
    (folder / "index.md").write_text("\n".join(text), encoding="utf-8")


def about(name: str) -> str:
    """The first sentence of a module's docstring."""
    text = inspect.getdoc(import_module(name)) or ""
    return " ".join(text.split("\n\n")[0].split())

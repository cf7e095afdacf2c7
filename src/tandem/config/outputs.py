"""Where callbacks, loggers and profilers may write: inside the run's folder, trackers also into stores below `runs`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tandem.config.slots import is_inside
from tandem.errors import ConfigError

LIBRARIES = ("tandem", "pytorch_lightning")
"""Whose parts are looked at; what a module of the user's own does with its arguments is the user's."""

PATH_KEYS = (
    *("artifact_location", "checkpoint_path", "default_root_dir", "dir", "dirpath", "file", "folder", "local_dir"),
    *("log_dir", "output_dir", "path", "root", "root_dir", "root_path", "save_dir", "tracking_uri"),
)
"""Arguments that are paths, so that relative ones count too. In any other argument a path shows by its form."""


def check_outputs(nodes: Mapping[str, Any], where: str, folder: Path, shared: Path | None = None) -> None:
    """Refuses paths of callbacks, loggers or a trainer that lead out of the run's folder.

    Args:
        nodes: plain containers with a `_target_` somewhere, in which `{run}` has been replaced.
        where: their dotted key, for messages.
        folder: of the run.
        shared: the folder of all runs, for trackers whose store holds several.

    Raises:
        ConfigError: a path outside, with its key.

    Example:
        >>> node = {"_target_": "tandem.callbacks.MetricsCSV", "path": "/etc/passwd"}
        >>> check_outputs({"metrics_csv": node}, "callbacks", Path("runs/a/b"))
        Traceback (most recent call last):
        tandem.errors.ConfigError: callbacks.metrics_csv.path is '/etc/passwd', which lies outside the run's folder; ...
    """
    allowed = [folder, *([] if shared is None else [shared])]
    for key, name, text in _texts(nodes, where, name="", own=False):
        path = _local_path(name, text)
        if path is not None and not any(lies_in(path, parent) for parent in allowed):
            words = "the run's folder" if shared is None else f"the run's folder and '{shared}'"
            raise ConfigError(f"{key} is {text!r}, which lies outside {words}; begin it with {{run}}/")


def lies_in(path: Path, parent: Path) -> bool:
    """Whether a path is a folder or lies below it, after all links."""
    return path.resolve().is_relative_to(parent.resolve())


def _texts(node: Any, where: str, name: str, own: bool) -> Iterator[tuple[str, str, str]]:
    """All texts, each with its dotted key and the name of its argument; those of the user's own code are left out."""
    if isinstance(node, Mapping):
        target = node.get("_target_")
        own = not is_inside(target, LIBRARIES) if isinstance(target, str) else own
        for key, value in node.items():
            if key != "_target_":
                yield from _texts(value, f"{where}.{key}", str(key), own)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _texts(value, f"{where}[{index}]", name, own)
    elif isinstance(node, str) and not own:
        yield where, name, node


def _local_path(name: str, text: str) -> Path | None:
    """The path that an argument means; None where it is none, or the address of a server."""
    address = urlsplit(text) if "://" in text or text.startswith("file:") else None
    if address is not None and address.scheme.partition("+")[0] in ("sqlite", "file"):
        text = unquote(address.path)
        text = text.removeprefix("/") if address.scheme != "file" else text
    elif address is not None and name == "tracking_uri":
        return None
    path = Path(text).expanduser() if text.startswith("~") else Path(text)
    return path if name in PATH_KEYS or path.is_absolute() or ".." in path.parts else None

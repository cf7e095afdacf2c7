"""Checks where a command is asked to write, before it does the work."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tandem.errors import ConfigError


def named(config: Mapping[str, Any], key: str = "out") -> Path:
    """The path that an option names.

    Raises:
        ConfigError: it names nothing, which would be the working directory.
    """
    text = str(config[key] or "")
    if not text.strip():
        raise ConfigError(f"{key} is empty; give the path of a folder or file")
    return Path(text).expanduser()


def check_file(path: Path, key: str = "out") -> Path:
    """Refuses a place where no file can be written.

    Args:
        path: where the file is to be.
        key: the option that names it.

    Raises:
        ConfigError: it is a folder, or one of the folders above it is a file.

    Example:
        >>> check_file(Path("."))
        Traceback (most recent call last):
        tandem.errors.ConfigError: out=. is a folder, but must be a file; name one in it
    """
    if path.is_dir() or not path.name:
        raise ConfigError(f"{key}={path} is a folder, but must be a file; name one in it")
    check_folder(path.parent, key)
    return path


def check_folder(path: Path, key: str = "out") -> Path:
    """Refuses a place where no folder can be made.

    Args:
        path: the folder, which may not exist yet.
        key: the option that names it.

    Raises:
        ConfigError: it, or one of the folders above it, is a file.
    """
    for place in (path, *path.parents):
        if place.exists() and not place.is_dir():
            what = f"{key}={path} is" if place == path else f"{key}={path} lies below {place}, which is"
            raise ConfigError(f"{what} a file, but must be a folder; name another place")
    return path

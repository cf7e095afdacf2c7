"""Imports optional dependencies when an option that needs them is chosen."""

import importlib
from types import ModuleType

from tandem.errors import ConfigError


def load(module: str, extra: str, what: str) -> ModuleType:
    """Imports a module of an optional dependency.

    Args:
        module: its dotted name.
        extra: the extra of tandem that installs it.
        what: what needs it, for the message, such as `the boundary loss`.

    Raises:
        ConfigError: it cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package, reason = module.partition(".")[0], " ".join(str(error).split())
        raise ConfigError(f"{what} needs {package} ({reason}); {how_to_install(extra)}") from error


def how_to_install(extra: str) -> str:
    """Returns what to type to install an extra: from the package index, or in a checkout.

    Example:
        >>> how_to_install("study")
        "pip install 'tandem-mtl[study]', or make setup in a checkout"
    """
    return f"pip install 'tandem-mtl[{extra}]', or make setup in a checkout"

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
        raise ConfigError(f"{what} needs {package} ({reason}); pip install 'tandem[{extra}]'") from error

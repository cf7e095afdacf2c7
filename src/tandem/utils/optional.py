"""Libraries that are no dependency of tandem, imported only where what needs them is chosen."""

import importlib
from types import ModuleType

from tandem.errors import ConfigError


def load(module: str, extra: str, what: str) -> ModuleType:
    """A module of a library that is no dependency of tandem.

    Args:
        module: its dotted name.
        extra: the extra of tandem that installs it.
        what: needs it, for the message, such as `the boundary loss`.

    Raises:
        ConfigError: if it cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package, reason = module.partition(".")[0], " ".join(str(error).split())
        raise ConfigError(f"{what} needs {package} ({reason}); pip install 'tandem[{extra}]'") from error

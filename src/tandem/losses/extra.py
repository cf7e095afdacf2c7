"""Losses of other libraries, imported only where they are chosen."""

import importlib
from types import ModuleType

from tandem.errors import ConfigError


def load(module: str, extra: str, loss: str) -> ModuleType:
    """A module of a library that is no dependency of tandem.

    Args:
        module: its dotted name.
        extra: the extra of tandem that installs it.
        loss: name of the loss that needs it, for the message.

    Raises:
        ConfigError: if it cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package, reason = module.partition(".")[0], " ".join(str(error).split())
        raise ConfigError(f"the {loss} loss needs {package} ({reason}); pip install 'tandem[{extra}]'") from error

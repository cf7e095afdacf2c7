"""From configuration to objects: the only caller of Hydra's `instantiate`, behind an allow-list."""

import importlib
import inspect
import os
from collections.abc import Iterator, Mapping
from typing import Any

from tandem.errors import ConfigError, TandemError
from tandem.hints import nearest

ALLOWED = (
    "tandem",
    "torch.nn",
    "torch.optim",
    "torchmetrics",
    "pytorch_lightning.callbacks",
    "pytorch_lightning.loggers",
    "pytorch_lightning.profilers",
    "pytorch_lightning.strategies",
    "pytorch_lightning.trainer",
    "pytorch_lightning.Trainer",
)
"""Where a `_target_` may lead. A configuration can then choose, but not run, code of its writer's liking."""

ALLOW_VARIABLE = "TANDEM_ALLOW"
"""Environment variable with further module names, comma-separated: the user's own code, which a config cannot name."""

_HYDRA_KEYS = {"_target_", "_partial_", "_args_", "_convert_", "_recursive_"}


def build(node: Mapping[str, Any], where: str, **arguments: Any) -> Any:
    """Makes the object that a piece of configuration describes.

    Args:
        node: plain, resolved containers with a `_target_`; nested ones are made first.
        where: the dotted key of the node, for messages.
        arguments: further arguments, passed as they are.

    Raises:
        ConfigError: a target that is not allowed or not there, an unknown or missing argument, a value refused.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    if "_target_" not in node:
        raise ConfigError(
            f"{where} has no _target_, so nothing can be made of it; choose an option of its config group"
        )
    for key, inner in _targets(node, where):
        _check_arguments(key, inner, resolve_target(str(inner["_target_"]), key))
    try:
        made = instantiate({**node, "_partial_": True, "_convert_": "all"})
        return made if node.get("_partial_") else made(**arguments)
    except TandemError as error:
        raise type(error)(f"{where}: {error}") from error
    except InstantiationException as error:
        raise _unwrap(error, where) from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where} ({node['_target_']}): {error}") from error


def build_each(nodes: Mapping[str, Any] | None, where: str, **arguments: Any) -> dict[str, Any]:
    """Makes each of a dict's objects; entries that are null or empty are left out, so that any can be switched off."""
    return {name: build(node, f"{where}.{name}", **arguments) for name, node in (nodes or {}).items() if node}


def resolve_target(target: str, where: str) -> Any:
    """The class or function that a `_target_` names, if it may be used.

    Raises:
        ConfigError: it lies outside the allow-list, cannot be imported, or reaches foreign code through another module.
    """
    allowed = allowed_modules()
    if not _inside(target, allowed):
        raise ConfigError(
            f"{where}: _target_ '{target}' is not allowed; if you trust it, set {ALLOW_VARIABLE}={target.split('.')[0]}"
        )
    found = _locate(target, where)
    home = getattr(found, "__module__", None) or ""
    if not callable(found) or not _inside(home, (*allowed, "pytorch_lightning")):
        raise ConfigError(f"{where}: _target_ '{target}' is not a class or function of an allowed module")
    return found


def allowed_modules() -> tuple[str, ...]:
    """The allow-list, with what the user added through the environment."""
    own = (name.strip() for name in os.environ.get(ALLOW_VARIABLE, "").split(","))
    return (*ALLOWED, *filter(None, own))


def _inside(path: str, modules: tuple[str, ...]) -> bool:
    return any(path == module or path.startswith(f"{module}.") for module in modules)


def _locate(target: str, where: str) -> Any:
    module_name, _, name = target.rpartition(".")
    try:
        return getattr(importlib.import_module(module_name), name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{where}: cannot import '{error.name}' of '{target}'; is it installed, or its folder on PYTHONPATH?"
        ) from error
    except AttributeError as error:
        public = [key for key in vars(importlib.import_module(module_name)) if not key.startswith("_")]
        raise ConfigError(f"{where}: '{module_name}' has no '{name}': {nearest(name, public)}") from error


def _targets(node: Any, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield where, node
        for key, value in node.items():
            yield from _targets(value, f"{where}.{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _targets(value, f"{where}[{index}]")


def _check_arguments(where: str, node: Mapping[str, Any], target: Any) -> None:
    try:
        parameters = inspect.signature(target).parameters
    except ValueError:  # some classes written in C have no signature; calling them tells
        return
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for key in node.keys() - _HYDRA_KEYS:
        if key not in parameters:
            raise ConfigError(f"unknown key '{where}.{key}': {nearest(key, parameters)}")


def _unwrap(error: BaseException, where: str) -> TandemError:
    """The error behind Hydra's: ours as it is, another with its own words."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, TandemError):
        return type(cause)(f"{where}: {cause}")
    return ConfigError(f"{where}: {cause if cause is not None else error}")

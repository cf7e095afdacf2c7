"""Creates objects from configuration, restricted by an allow-list for each slot.

The keys are Hydra's (`_target_`, `_partial_`, `_args_`, `_recursive_`) with the same meaning as in
`hydra.utils.instantiate` with `_convert_: all`. Hydra's own function is not used: it resolves interpolations again,
which can introduce unchecked targets, and it has a block-list, whereas `tandem.config.slots` lists what is allowed.
"""

import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Unpack, get_args, get_origin, get_type_hints

from tandem.config.plain_values import must_be
from tandem.config.slots import ALLOW_VARIABLE, Slot, slot_at
from tandem.config.suggest import nearest
from tandem.errors import ConfigError, TandemError

_HYDRA_KEYS = {"_target_", "_partial_", "_args_", "_convert_", "_recursive_"}

_PLAIN = _HYDRA_KEYS - {"_args_"}


def build(node: Mapping[str, Any], where: str, **arguments: Any) -> Any:
    """Creates the object that a configuration node describes.

    Checks all targets and arguments before it creates the first object. A `_partial_` raises errors of the same form
    when it is called.

    Args:
        node: plain, resolved containers with a `_target_`; nested objects are created first.
        where: the dotted key of the node; it chooses the slot, and messages begin with it.
        arguments: further arguments, passed unchanged; the node must not give them too.

    Raises:
        ConfigError: a target is not allowed or does not exist, an argument is unknown or missing, or a value is
            rejected.
    """
    if not isinstance(node, Mapping) or "_target_" not in node:
        raise ConfigError(f"{where} has no _target_, so it describes no object; choose an option of its config group")
    slot = slot_at(where)
    targets = list(_targets(node, where, slot))
    for key, inner, its_slot in targets:
        _check_name(inner["_target_"], key, its_slot)
    for key, inner, its_slot in targets:
        _check_arguments(key, inner, its_slot, arguments if inner is node else {})
    made: Any = _make(node, where, slot, arguments)
    return made


def build_each(nodes: Mapping[str, Any] | None, where: str, **arguments: Any) -> dict[str, Any]:
    """Creates each of a dict's objects; skips entries that are null or empty, so that any can be switched off."""
    return {name: build(node, f"{where}.{name}", **arguments) for name, node in (nodes or {}).items() if node}


def resolve_target(target: str, where: str, slot: Slot) -> Callable[..., Any]:
    """Returns the class or function that a `_target_` names, if a slot admits it.

    Raises:
        ConfigError: it lies outside the slot's modules, cannot be imported, or is not of the slot's kind.
    """
    _check_name(target, where, slot)
    found = _locate(target, where)
    if not slot.admits(found, target):
        raise ConfigError(
            f"{where}: _target_ '{target}' is of the wrong kind; expected: {slot.expected}; choose another _target_"
        )
    return found  # type: ignore[no-any-return]


def _check_name(target: Any, where: str, slot: Slot) -> None:
    """Checks a target by its name only, before anything is imported."""
    parts = target.split(".") if isinstance(target, str) else []
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise ConfigError(f"{where}: _target_ {target!r} is not the dotted name of a class, such as torch.optim.AdamW")
    if not slot.names(target):
        module = target.rpartition(".")[0]
        own = f"if it is your own code, or you trust it like your own, set {ALLOW_VARIABLE}={module} in the environment"
        remedy = "choose one of these" if parts[0] == "tandem" else own
        raise ConfigError(f"{where}: _target_ '{target}' is not allowed; expected: {slot.expected}; {remedy}")
    if any(part.startswith("_") for part in parts):
        raise ConfigError(f"{where}: _target_ '{target}' is private; name a public class")


def _locate(target: str, where: str) -> Any:
    module_name, _, name = target.rpartition(".")
    try:
        return getattr(importlib.import_module(module_name), name)
    except ImportError as error:
        raise ConfigError(
            f"{where}: cannot import '{target}' ({error}); is it spelled right, installed, or its folder on PYTHONPATH?"
        ) from error
    except AttributeError as error:
        public = [key for key in dir(importlib.import_module(module_name)) if not key.startswith("_")]
        raise ConfigError(f"{where}: '{module_name}' has no '{name}': {nearest(name, public)}") from error


def _targets(node: Mapping[str, Any], where: str, slot: Slot) -> Iterator[tuple[str, Mapping[str, Any], Slot]]:
    """Yields a node and all nodes inside its arguments, with their keys and slots."""
    yield where, node, slot
    for key, value in node.items():
        if key != "_target_":
            yield from _inner_targets(value, f"{where}.{key}", slot, (str(key),))


def _inner_targets(
    value: Any, where: str, slot: Slot, path: tuple[str, ...]
) -> Iterator[tuple[str, Mapping[str, Any], Slot]]:
    if isinstance(value, Mapping):
        if "_target_" in value:
            yield from _targets(value, where, _slot_of_argument(value["_target_"], where, slot, path))
        else:
            for key, item in value.items():
                yield from _inner_targets(item, f"{where}.{key}", slot, (*path, str(key)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _inner_targets(item, f"{where}[{index}]", slot, (*path, str(index)))


def _slot_of_argument(target: Any, where: str, slot: Slot, path: tuple[str, ...]) -> Slot:
    inner = slot.nested_in(path)
    if inner is None:
        takes = f"takes objects in {', '.join(slot.nested)} only" if slot.nested else "takes plain values only"
        raise ConfigError(f"{where}: _target_ {target!r} is not allowed; {slot.what} {takes}; give a plain value here")
    return inner


def _check_arguments(where: str, node: Mapping[str, Any], slot: Slot, arguments: Mapping[str, Any]) -> None:
    target = resolve_target(node["_target_"], where, slot)
    given = sorted(node.keys() - _HYDRA_KEYS)
    if doubled := [key for key in given if key in arguments]:
        raise ConfigError(f"{where}.{doubled[0]} cannot be set, because tandem sets it; remove it")
    parameters = _parameters(target)
    if parameters is None:
        return
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        if refused := [name for name in arguments if name not in parameters]:
            raise ConfigError(
                f"{where}: '{node['_target_']}' must take the argument '{refused[0]}', which tandem fills in"
            )
        for key in given:
            if key not in parameters:
                choices = [name for name in parameters if name not in arguments]
                raise ConfigError(f"unknown key '{where}.{key}': {nearest(key, choices)}")
    for key in given:
        if key in parameters and (kind := must_be(parameters[key], node[key])) is not None:
            raise ConfigError(f"{where}.{key} is {node[key]!r}, but must be {kind}")
    if not node.get("_partial_") and not node.get("_args_"):
        for name, p in parameters.items():
            named = p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
            if named and p.default is p.empty and name not in given and name not in arguments:
                raise ConfigError(f"{where} lacks '{name}'; give {where}.{name}")


def _parameters(target: Callable[..., Any]) -> Mapping[str, inspect.Parameter] | None:
    try:
        return _unpacked(inspect.signature(target, eval_str=True).parameters)
    except ValueError:  # some classes written in C have no signature; the call will check the arguments
        return None
    except Exception:  # annotations that can only be evaluated by a type checker
        return inspect.signature(target).parameters


def _unpacked(parameters: Mapping[str, inspect.Parameter]) -> Mapping[str, inspect.Parameter]:
    """The parameters with those that `**name: Unpack[SomeTypedDict]` stands for, each optional."""
    found = dict(parameters)
    for name, p in parameters.items():
        if p.kind is p.VAR_KEYWORD and get_origin(p.annotation) is Unpack:
            del found[name]
            (described,) = get_args(p.annotation)
            for key, annotation in get_type_hints(described).items():
                found[key] = inspect.Parameter(key, p.KEYWORD_ONLY, default=None, annotation=annotation)
    return found


def _make(node: Mapping[str, Any], where: str, slot: Slot, arguments: Mapping[str, Any] | None = None) -> Any:
    deep = node.get("_recursive_", True)
    values = {
        key: _made(value, f"{where}.{key}", slot, (str(key),)) if deep and key not in _PLAIN else value
        for key, value in node.items()
    }
    positional = values.get("_args_") or []
    named = {key: value for key, value in values.items() if key not in _HYDRA_KEYS}
    target = resolve_target(node["_target_"], where, slot)
    call = partial(_call, target, where, slot, *positional, **named, **(arguments or {}))
    return call if node.get("_partial_") else call()


def _made(value: Any, where: str, slot: Slot, path: tuple[str, ...]) -> Any:
    """Returns an argument with its nodes replaced by objects."""
    if isinstance(value, list):
        return [_made(item, f"{where}[{index}]", slot, (*path, str(index))) for index, item in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    if "_target_" in value:
        return _make(value, where, _slot_of_argument(value["_target_"], where, slot, path))
    return {key: _made(item, f"{where}.{key}", slot, (*path, str(key))) for key, item in value.items()}


def _call(target: Callable[..., Any], where: str, slot: Slot, /, *args: Any, **kwargs: Any) -> Any:
    """Calls a target; turns its exceptions into one line that begins with the dotted key, once."""
    made = _called(target, where, args, kwargs)
    if not inspect.isclass(target) and not slot.fits(type(made)):
        raise ConfigError(f"{where}: {target.__qualname__} returned a {type(made).__name__}; expected: {slot.expected}")
    return made


def _called(target: Callable[..., Any], where: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        return target(*args, **kwargs)
    except TandemError as error:
        raise type(error)(_placed(str(error), where, kwargs)) from error
    except Exception as error:
        text = " ".join(str(error).split())
        plain = isinstance(error, TypeError | ValueError) or type(error).__module__ != "builtins"
        kind = "" if plain and text else f"{type(error).__name__}: "
        raise ConfigError(f"{where} ({target.__qualname__}): {kind}{text}") from error


def _placed(message: str, where: str, keys: Mapping[str, Any]) -> str:
    """Prefixes a message with its dotted key: `alpha = 1 ...` becomes `tasks.segmentation.loss.alpha = 1 ...`."""
    if re.match(rf"{re.escape(where)}\b", message):
        return message
    first = re.match(r"\w*", message)
    assert first is not None
    return f"{where}.{message}" if first[0] in keys else f"{where}: {message}"

"""A network's parameters by name: which of them an option selects, and how the optimiser treats each."""

import math
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from tandem.config.suggest import nearest
from tandem.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from torch import nn

Named = Iterable[tuple[str, "nn.Parameter"]]


def setting_name(name: str) -> str:
    """A parameter's name in the configuration: `tasks.` where the module has `task_modules.`, a name free in Lightning.

    Example:
        >>> setting_name("task_modules.segmentation.head.logits.bias")
        'tasks.segmentation.head.logits.bias'
    """
    return name.replace("task_modules.", "tasks.", 1) if name.startswith("task_modules.") else name


def means(pattern: str, name: str) -> bool:
    """Whether a pattern matches a parameter: a name matches everything inside it; `*`, `?` and `[...]` are wildcards.

    Example:
        >>> means("network.decoder", "network.decoder.blocks.0.weight"), means("network.dec", "network.decoder.w")
        (True, False)
        >>> means("network.*.bias", "network.decoder.blocks.0.bias")
        True
    """
    return name == pattern or name.startswith(f"{pattern}.") or fnmatchcase(name, pattern)


def select(patterns: Iterable[str], named: Named, key: str) -> dict[str, "nn.Parameter"]:
    """The parameters that match some patterns, by their name in the configuration.

    Args:
        patterns: see `means`.
        named: parameters with the module's names.
        key: the option's key, for messages.

    Raises:
        ConfigError: a pattern that matches no parameter.
    """
    known = {setting_name(name): parameter for name, parameter in named}
    found: dict[str, nn.Parameter] = {}
    for pattern in patterns:
        chosen = {name: parameter for name, parameter in known.items() if means(pattern, name)}
        if not chosen:
            raise ConfigError(f"{key}: no parameter is called '{pattern}': {nearest(pattern, _parts(known))}")
        found |= chosen
    return found


def parameter_groups(
    named: Named,
    lr_factors: Mapping[str, float] | None = None,
    decay_all: bool = False,
    layers: Mapping[str, float] | None = None,
) -> list[dict[str, Any]]:
    """Groups for an optimiser: with or without weight decay, and with separate learning rates.

    Weight decay skips parameters of one dimension or none (biases, the scale and shift of normalisation layers) and all
    that a balance learns. Parameters that are frozen when the groups are made are left out.

    Args:
        named: parameters with the module's names, `network...`, `task_modules...` and `balance...`.
        lr_factors: learning rate of a part in units of the optimiser's own, by the part's name (`network.encoder`);
            if several match a parameter, the longest name counts.
        decay_all: whether weight decay applies to every parameter.
        layers: further factors, by a parameter's name; see `tandem.network.layers`.

    Returns:
        Groups with `params` and `lr_factor`, those with the factor 1 first; `weight_decay` is 0 in those without decay
        and absent elsewhere, so that the optimiser's own value applies.

    Raises:
        ConfigError: a factor that is not a number above 0, a part that does not exist, nothing left to train.

    Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019; without norms and biases: He et al.,
    Bag of Tricks for Image Classification, 2019; a learning rate for each part: Howard and Ruder, ULMFiT, 2018.
    """
    listed = list(named)
    factors = dict(lr_factors or {})
    for part, factor in factors.items():
        if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor < math.inf:
            raise ConfigError(f"parameters.lr_factors.{part} is {factor!r}, but must be a number above 0")
        select([part], listed, "parameters.lr_factors")
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in listed:
        if parameter.requires_grad:
            factor = _factor(setting_name(name), factors) * (layers or {}).get(name, 1.0)
            key = (factor, decay_all or _decays(name, parameter))
            groups.setdefault(key, []).append(parameter)
    if not groups:
        raise ConfigError("every parameter is frozen, so nothing would be learnt; freeze less")
    return [
        {"params": members, "lr_factor": factor, **({} if decays else {"weight_decay": 0.0})}
        for (factor, decays), members in sorted(groups.items(), key=lambda group: group[0][0] != 1)
    ]


def grouped_optimizer(
    named: Named,
    make: Callable[[Any], "torch.optim.Optimizer"],
    lr_factors: Mapping[str, float] | None = None,
    decay_all: bool = False,
    layers: Mapping[str, float] | None = None,
) -> "torch.optim.Optimizer":
    """An optimiser over `parameter_groups`, in each of which its learning rate is multiplied by the group's factor.

    Args:
        named: parameters with the module's names.
        make: makes the optimiser from its groups.
        lr_factors: see `parameter_groups`.
        decay_all: see `parameter_groups`.
        layers: see `parameter_groups`.

    Raises:
        ConfigError: see `parameter_groups`.
    """
    optimizer = make(parameter_groups(named, lr_factors, decay_all, layers))
    for group in optimizer.param_groups:  # before a scheduler reads the initial learning rates
        group["lr"] *= group.pop("lr_factor")
    return optimizer


def _decays(name: str, parameter: "nn.Parameter") -> bool:
    return parameter.ndim > 1 and not name.startswith("balance.")


def _factor(name: str, factors: Mapping[str, float]) -> float:
    chosen = [part for part in factors if means(part, name)]
    return float(factors[max(chosen, key=len)]) if chosen else 1.0


def _parts(names: Iterable[str]) -> set[str]:
    """Names to suggest: of the larger parts, not of every layer of a backbone."""
    split = [name.split(".")[:3] for name in names]
    return {".".join(pieces[:count]) for pieces in split for count in range(1, len(pieces) + 1)}

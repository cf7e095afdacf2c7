"""Metrics that each device updates with its own rows, and that torchmetrics adds up over the devices at a split's end.

Torchmetrics gathers each state of a metric, if all devices have it in one form: equally many dimensions of one dtype.
A device that had no row of a task has states of another form, or none. So the devices first say what theirs look like.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat, dim_zero_mean

from tandem.distributed.gather import is_distributed
from tandem.errors import ConfigError

Form = dict[str, dict[str, tuple[bool, torch.dtype, tuple[int, ...]]]]
"""Of a metric and those inside of it, by path and name of the state: whether it is a list, its dtype and shape."""


def never() -> bool:
    """Whether metrics are gathered, for those that are computed in one process alone."""
    return False


def shared(metric: Metric) -> Metric:
    """The same metric, and those inside of it, so that `compute` gathers what all devices have counted."""
    for part in metric.modules():
        if isinstance(part, Metric):
            part.distributed_available_fn = is_distributed
    return metric


def told_by_all(metrics: Mapping[str, Metric], word: Any = None) -> tuple[set[str], list[Any]]:
    """Before metrics are computed: every device has states of one form afterwards; all devices must call it.

    Args:
        metrics: in the same order on every device.
        word: what this device says, of any plain kind.

    Returns:
        Names of the metrics that some device has updated, and what each device says.
    """
    seen = [name for name, metric in metrics.items() if metric.update_called]
    if not is_distributed():
        return set(seen), [word]
    own = {name: _form(metrics[name]) for name in seen}
    found: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(found, (own, word))
    forms = {name: form for known, _ in reversed(found) for name, form in known.items()}
    for name in forms.keys() - own.keys():
        _take_form(metrics[name], forms[name])
    return set(forms), [each for _, each in found]


def check_shared(name: str, metric: Metric) -> None:
    """Raise if the counts of several devices cannot be added up.

    Args:
        name: key of the metric in the configuration.
        metric: of a task.

    Raises:
        ConfigError: torchmetrics would average its states, or gather lists of different lengths one by one.
    """
    for part in metric.modules():
        for state, reduce in part._reductions.items() if isinstance(part, Metric) else ():
            listed = isinstance(part._defaults[state], list)  # type: ignore[index]
            if reduce is dim_zero_mean or (listed and reduce is not dim_zero_cat):
                raise ConfigError(
                    f"the metric {name} ({type(part).__name__}) has a state '{state}' that devices cannot add up; "
                    "leave it out, or set trainer.devices=1"
                )


def _form(metric: Metric) -> Form:
    form: Form = {}
    for path, part in metric.named_modules():
        if isinstance(part, Metric) and part.update_called:
            form[path] = {}
            for name, state in part.metric_state.items():
                if isinstance(state, Tensor) or len(state):
                    one = dim_zero_cat(state)
                    form[path][name] = (isinstance(state, list), one.dtype, tuple(one.shape))
    return form


def _take_form(metric: Metric, form: Form) -> None:
    for path, states in form.items():
        part = metric.get_submodule(path)
        assert isinstance(part, Metric)
        part._update_count = 1  # torchmetrics has no other way to say that there is something to compute
        for name, (listed, dtype, shape) in states.items():
            if listed:
                setattr(part, name, [torch.empty((0, *shape[1:]), dtype=dtype, device=part.device)])
            else:
                setattr(part, name, getattr(part, name).to(dtype).expand(shape).clone())

"""What the logged numbers of a run are, while its metrics are at hand."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tandem.metrics.catalogue import CATALOGUE, LESION, Quantity, describe, entry, key_of
from tandem.metrics.declared import Declared, applied, declared, skips_empty

if TYPE_CHECKING:
    from tandem.tasks import Task


def run_quantities(
    names: Iterable[str], tasks: "Mapping[str, Task]", config: Mapping[str, Any], spaced: bool = False
) -> dict[str, Quantity]:
    """The quantities of a run by `<task>/<metric>`.

    The metric's yaml comes first (`direction`, `label`), then the metric's own `higher_is_better`, then the catalogue.

    Args:
        names: as they are logged, of any stage.
        tasks: of the run, with their metrics.
        config: the resolved configuration.
        spaced: whether the size of pixels is known in the data, so that distances are in millimetres.
    """
    by_yaml = declared(config["tasks"])
    return {key: _quantity(key, tasks, config, by_yaml, spaced) for key in dict.fromkeys(map(key_of, names))}


def _quantity(
    key: str,
    tasks: "Mapping[str, Task]",
    config: Mapping[str, Any],
    by_yaml: Mapping[str, Declared],
    spaced: bool,
) -> Quantity:
    owner, _, name = key.partition("/")
    if owner not in tasks:
        return describe(f"val/{key}")
    metric, slash, rest = name.partition("/")
    own = dict(tasks[owner].meters["val"].metrics.items()).get(metric)
    if own is None:
        return _of_channel(key, name, tasks[owner])
    quantity = entry(metric if metric in CATALOGUE else None, name)
    if spaced and getattr(own, "needs_spacing", False):
        quantity = replace(quantity, label=f"{quantity.unit_label or f'{metric} in mm'}{slash}{rest}")
    found = applied(
        quantity,
        by_yaml.get(f"{owner}/{metric}", Declared()),
        getattr(own, "higher_is_better", None),
        f"{slash}{rest}",
    )
    group = LESION if skips_empty(config["tasks"][owner], metric) else found.group
    settled = getattr(own, "needs_mask", False)
    return replace(found, group=group, at_threshold=settled)


def _of_channel(key: str, name: str, task: "Task") -> Quantity:
    """What no metric of the task gives: losses, and what the threshold sweep logs of a task or one of its channels."""
    for channel in task.class_names:
        metric = name.removeprefix(f"{channel}/")
        if metric != name and metric in CATALOGUE:
            return entry(metric, name)
    return describe(f"val/{key}")


def monitored(config: Mapping[str, Any], tasks: "Mapping[str, Task]") -> Quantity:
    """What the monitored value is.

    Args:
        config: the resolved configuration.
        tasks: of the run.
    """
    return next(iter(run_quantities([config["monitor"]], tasks, config).values()))

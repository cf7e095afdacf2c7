"""Slots: which objects each place of a configuration may name with `_target_`.

A configuration, a run's `results.json` and a paper's archive are handed from one person to another, so a `_target_` in
them must not reach anything but a part of the kind that belongs there. Each slot names modules, and the base class (or
the members) of the classes that may stand there. Base classes are given by name and are imported when they are needed.
"""

import importlib
import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

ALLOW_VARIABLE = "TANDEM_ALLOW"
"""Environment variable with further module names, comma-separated: the user's own code, which a config cannot name."""


@dataclass(frozen=True)
class Slot:
    """What may stand in one place of a configuration.

    Attributes:
        what: what is expected there, for messages.
        modules: modules of which classes may be named, with all that lies below them.
        bases: dotted names of classes; one that is named is a subclass of one of them.
        members: names of methods and attributes that its class has or annotates; for protocols without a base class.
        functions: functions that may be named, each by itself.
        nested: slots of its arguments, by dotted path; `*` stands for one key or index, `**` for any path. An argument
            elsewhere is plain data.
    """

    what: str
    modules: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    nested: Mapping[str, str] = field(default_factory=dict)

    def names(self, target: str) -> bool:
        """Whether a target may be imported, judged by its name alone.

        A package above a listed module is admitted for what it re-exports, such as `pytorch_lightning.Trainer`.
        """
        module = target.rpartition(".")[0]
        above = {name for known in self.modules for name in _parents(known)}
        return target in self.functions or module in above or is_inside(module, (*self.modules, *own_modules()))

    def admits(self, found: Any, target: str) -> bool:
        """Whether what a target leads to may be called here."""
        home = getattr(found, "__module__", None) or ""
        if target in self.functions:
            return True
        if not inspect.isclass(found):  # what a function of the user's own makes is checked once it is made
            return inspect.isroutine(found) and is_inside(home, own_modules())
        return is_inside(home, (*self.modules, *own_modules())) and self.fits(found)

    def fits(self, kind: type) -> bool:
        """Whether a class has one of the base classes and all members."""
        bases = tuple(_class(name) for name in self.bases)
        own = {name for parent in kind.__mro__[:-1] for name in (*vars(parent), *inspect.get_annotations(parent))}
        return (not bases or issubclass(kind, bases)) and own.issuperset(self.members)

    def nested_in(self, path: Sequence[str]) -> "Slot | None":
        """The slot of an argument, by its path from the object that takes it."""
        names = (slot for pattern, slot in self.nested.items() if _matches(path, pattern.split(".")))
        return next((SLOTS[name] for name in names), None)

    @property
    def expected(self) -> str:
        """What may stand here, for messages."""
        parts = [f"a subclass of {' or '.join(self.bases)}"] if self.bases else []
        parts += [f"with {' and '.join(self.members)}"] if self.members else []
        parts += [f"from {', '.join(self.modules)}"] if self.modules else []
        parts += [f"or {', '.join(self.functions)}"] if self.functions else []
        return f"{self.what} ({' '.join(parts)})"


_TORCHMETRICS = ("aggregation", "classification", "clustering", "nominal", "regression", "retrieval", "segmentation")
"""Those that only count; others download networks to compare images or texts with, or load them from files."""

SLOTS: Mapping[str, Slot] = {
    "data": Slot("a data source", ("tandem.data",), members=("load",), nested={"sources.*": "data"}),
    "augment": Slot("an augmentation", ("tandem.data.augment",), ("torch.nn.Module",)),
    "network": Slot(
        "a network",
        bases=("torch.nn.Module",),
        functions=("tandem.network.make_network",),
        nested={"decoder": "decoder"},
    ),
    "decoder": Slot("a decoder", ("tandem.network",), ("torch.nn.Module",)),
    "task": Slot(
        "a task",
        ("tandem.tasks",),
        ("tandem.tasks.task.Task",),
        nested={"loss": "loss", "metrics.*": "metric", "adversary": "adversary"},
    ),
    "loss": Slot("a loss", ("tandem.losses",), ("torch.nn.Module",), ("kind",), nested={"**": "loss"}),
    "metric": Slot(
        "a metric",
        ("tandem.metrics", *(f"torchmetrics.{name}" for name in (*_TORCHMETRICS, "wrappers"))),
        ("torchmetrics.Metric",),
        nested={"**": "metric"},
    ),
    "adversary": Slot(
        "an adversary",
        ("tandem.adversarial",),
        ("tandem.adversarial.adversary.Adversary",),
        nested={"objective": "objective", "discriminator": "discriminator", "optimizer": "optimizer"},
    ),
    "objective": Slot("an objective", ("tandem.adversarial",), ("tandem.adversarial.objectives.Objective",)),
    "discriminator": Slot("a discriminator", ("tandem.adversarial",), ("torch.nn.Module",)),
    "balance": Slot("a balance", ("tandem.balance",), ("tandem.balance.balance.Balance",)),
    "optimizer": Slot("an optimiser", ("torch.optim",), ("torch.optim.Optimizer",)),
    "scheduler": Slot("a scheduler", ("torch.optim.lr_scheduler",), ("torch.optim.lr_scheduler.LRScheduler",)),
    "penalty": Slot("a penalty", ("tandem.penalties",), ("tandem.penalties.Penalty",)),
    "callback": Slot(
        "a callback", ("tandem.callbacks", "pytorch_lightning.callbacks"), ("pytorch_lightning.Callback",)
    ),
    "logger": Slot("a logger", ("tandem.trackers", "pytorch_lightning.loggers"), ("pytorch_lightning.loggers.Logger",)),
    "trainer": Slot(
        "Lightning's trainer",
        ("pytorch_lightning.trainer",),
        ("pytorch_lightning.Trainer",),
        nested={"profiler": "profiler", "plugins": "plugin", "plugins.*": "plugin", "strategy": "strategy"},
    ),
    "profiler": Slot("a profiler", ("pytorch_lightning.profilers",), ("pytorch_lightning.profilers.Profiler",)),
    "plugin": Slot(
        "a precision plugin",
        ("pytorch_lightning.plugins.precision",),
        ("lightning_fabric.plugins.precision.precision.Precision",),
    ),
    "strategy": Slot("a strategy", ("pytorch_lightning.strategies",), ("pytorch_lightning.strategies.Strategy",)),
    "refine": Slot("a refinement", ("tandem.refine",), members=("__call__",)),
    "pruner": Slot("a pruner", ("tandem.search.pruners",), members=("make",)),
}
"""Every slot, by name. A new kind of part is one more line here and one in `PLACES`."""

PLACES: Mapping[str, str] = {
    "data": "data",
    "augment": "augment",
    "network": "network",
    "tasks.*": "task",
    "balance": "balance",
    "optimizer": "optimizer",
    "scheduler": "scheduler",
    "penalties.*": "penalty",
    "trainer": "trainer",
    "callbacks.*": "callback",
    "logger.*": "logger",
    "loss": "loss",
    "paper.refine": "refine",
    "paper.refinements.*": "refine",
    "search.pruner": "pruner",
}
"""Slots by the dotted key of a configuration; those inside an object are the slots of its arguments."""


def slot_at(where: str) -> Slot:
    """The slot of a dotted key.

    Raises:
        KeyError: no object is made there.

    Example:
        >>> slot_at("tasks.segmentation").what, slot_at("tasks.segmentation.loss").what
        ('a task', 'a loss')
    """
    if where in PLACES:
        return SLOTS[PLACES[where]]
    if (of_group := f"{where.rpartition('.')[0]}.*") in PLACES:
        return SLOTS[PLACES[of_group]]
    group, *path = where.split(".")
    if path and f"{group}.*" in PLACES:
        slot = SLOTS[PLACES[f"{group}.*"]]
        return slot.nested_in(path[1:]) or slot
    raise KeyError(f"{where} is no slot of the configuration")


# ------------------------------------------------------------------------------------------------- the user's own code

_remembered: tuple[str, ...] | None = None


def own_modules() -> tuple[str, ...]:
    """The modules of the user's own that the environment admits."""
    return _read_own() if _remembered is None else _remembered


@contextmanager
def own_modules_remembered() -> Iterator[None]:
    """Holds the user's own modules as the environment names them now, whatever a configuration sets meanwhile."""
    global _remembered
    before, _remembered = _remembered, own_modules()
    try:
        yield
    finally:
        _remembered = before


def _read_own() -> tuple[str, ...]:
    names = (name.strip() for name in os.environ.get(ALLOW_VARIABLE, "").split(","))
    return tuple(filter(None, names))


# --------------------------------------------------------------------------------------------------------------- names


def is_inside(path: str, modules: Sequence[str]) -> bool:
    """Whether a dotted name is one of these modules or lies below one."""
    return any(path == module or path.startswith(f"{module}.") for module in modules)


def _parents(module: str) -> Iterator[str]:
    while "." in module:
        module = module.rpartition(".")[0]
        if module not in ("tandem", "torch"):  # they lead to everything that they import
            yield module


def _class(name: str) -> type:
    module, _, attribute = name.rpartition(".")
    kind: type = getattr(importlib.import_module(module), attribute)
    return kind


def _matches(path: Sequence[str], pattern: Sequence[str]) -> bool:
    if pattern == ["**"]:
        return True
    return len(path) == len(pattern) and all(want in ("*", have) for have, want in zip(path, pattern, strict=True))

"""Checks of settings before objects are built from them: a table of single values, and contradicting pairs."""

from collections.abc import Iterator, Mapping
from typing import Any

from tandem.config.monitor import AUTO
from tandem.config.resolve import check_loader, check_runs
from tandem.errors import ConfigError
from tandem.metrics.catalogue import metric_of
from tandem.runs.performance import EXACT
from tandem.train.checks.rules import Rule, at_least, inside, is_number, one_of, share_or_count, whole

RULES = (
    Rule("checkpoint.every_n_steps", whole(1), "null, or a whole number of steps of at least 1"),
    Rule("checkpoint.requeue", one_of(True, False), "true or false", optional=False),
    Rule("trainer.accumulate_grad_batches", whole(1), "a whole number of at least 1"),
    Rule("trainer.gradient_clip_val", at_least(0), "null or a number of at least 0"),
    Rule("trainer.gradient_clip_algorithm", one_of("norm", "value"), "norm or value"),
    Rule("trainer.num_sanity_val_steps", whole(-1), "a whole number of at least 0, or -1 for the whole split"),
    Rule("trainer.log_every_n_steps", whole(1), "a whole number of at least 1"),
    Rule("trainer.check_val_every_n_epoch", whole(1), "a whole number of at least 1", optional=False),
    Rule(
        "trainer.val_check_interval",
        lambda value: isinstance(value, float) and value == 1,
        "absent: the network is validated at the end of an epoch, so that each validation counts with its own "
        "weights; for shorter epochs set trainer.limit_train_batches",
    ),
    Rule("trainer.limit_train_batches", share_or_count, "a number of batches of at least 1, or a share in (0, 1]"),
    Rule(
        "trainer.limit_val_batches",
        share_or_count,
        "a number of batches of at least 1, or a share in (0, 1]; the best epoch is chosen on validation data",
    ),
    Rule("trainer.limit_test_batches", share_or_count, "a number of batches of at least 1, or a share in (0, 1]"),
    Rule("trainer.overfit_batches", lambda value: value == 0, "0: it validates other data; use data.train=N instead"),
    Rule("trainer.barebones", one_of(False), "false, since it keeps no checkpoint to make results of"),
    Rule("trainer.enable_checkpointing", one_of(True), "true, since results are made of the best checkpoint"),
    Rule("trainer.enable_progress_bar", one_of(True, False), "true or false"),
    Rule("trainer.collective_timeout_min", lambda value: is_number(value) and value > 0, "a number of minutes above 0"),
    Rule("trainer.share", one_of("rows", "batch", "none"), "rows, batch or none", optional=False),
    Rule("trainer.sync_batchnorm", one_of(True, False), "true or false", optional=False),
    Rule("trainer.min_epochs", whole(0), "a whole number of at least 0"),
    Rule("trainer.min_steps", whole(0), "a whole number of at least 0"),
    Rule("callbacks.*.patience", whole(0), "a whole number of at least 0"),
    Rule("optimizer.lr", at_least(0), "a number of at least 0"),
    Rule("optimizer.weight_decay", at_least(0), "a number of at least 0"),
    Rule("optimizer.momentum", inside(0, 1), "a number in [0, 1)"),
    Rule("performance.name", one_of(EXACT, "auto", "fast"), "exact, auto or fast", optional=False),
    Rule("performance.loss", lambda value: is_number(value) and value > 0, "a number above 0", optional=False),
    Rule("performance.gradient", lambda value: is_number(value) and value > 0, "a number above 0", optional=False),
    Rule("performance.seconds", lambda value: is_number(value) and value > 0, "a number above 0", optional=False),
    Rule("balance.weights.*", at_least(0), "a number of at least 0", optional=False),
)
"""Conditions on single values that libraries do not check. The objects that take other values check them."""


def check_settings(config: Mapping[str, Any]) -> None:
    """Rejects single values and combinations that cannot be trained; touches no file.

    Args:
        config: the resolved configuration as plain containers.

    Raises:
        ConfigError: for the first of them, with its key and the fix.
    """
    if not config.get("tasks"):
        raise ConfigError("task is empty; choose task=classification, task=segmentation or both")
    for rule in RULES:
        for key, value in _values(config, rule.key):
            if value is None and rule.optional:
                continue
            if not rule.test(value):
                raise ConfigError(f"{key} is {_shown(value)}, but must be {rule.must}")
    _check_length(config["trainer"])
    check_loader(config["loader"])
    _check_performance(config)
    _check_accelerator(config["trainer"].get("accelerator"))
    _check_arguments(config, "")
    check_runs(config.get("runs"))
    _check_callbacks(config)
    _check_features(config)


def _check_features(config: Mapping[str, Any]) -> None:
    """Features that are computed once need images that do not change."""
    network, data = config.get("network"), config.get("data") or {}
    if not isinstance(network, Mapping) or network.get("cache_features") is not True:
        return
    sources = [data, *(data.get("sources") or {}).values()]
    for other, used, fix in (
        ("augment", config.get("augment"), "augment=none"),
        ("data.crop=random", any(source.get("crop") == "random" for source in sources), "data.crop=centre"),
    ):
        if used:
            raise ConfigError(
                f"network.cache_features=true computes the features of each image once, but {other} changes the images "
                f"in every epoch; set {fix}, or network.cache_features=false"
            )


def _check_length(trainer: Mapping[str, Any]) -> None:
    epochs, steps = trainer.get("max_epochs"), trainer.get("max_steps", -1)
    if steps not in (None, -1) and not whole(1)(steps):
        raise ConfigError(f"trainer.max_steps is {_shown(steps)}, but must be a whole number of at least 1, or -1")
    bounded = steps not in (None, -1) or trainer.get("max_time") is not None
    if epochs in (None, -1) and not isinstance(epochs, bool):
        if not bounded:
            raise ConfigError(
                f"trainer.max_epochs is {_shown(epochs)}, so training would never end; give trainer.max_epochs, "
                "trainer.max_steps or trainer.max_time"
            )
        return
    if not whole(1)(epochs):
        raise ConfigError(
            f"trainer.max_epochs is {_shown(epochs)}, but must be a whole number of at least 1, or -1 with "
            "trainer.max_steps or trainer.max_time"
        )
    for name in ("check_val_every_n_epoch", "min_epochs"):
        if (trainer.get(name) or 0) > epochs:
            reason = "no epoch would be validated" if name == "check_val_every_n_epoch" else "they contradict"
            raise ConfigError(
                f"trainer.{name} is {trainer[name]}, more than trainer.max_epochs={epochs}, so {reason}; "
                "lower the one or raise the other"
            )


def _check_performance(config: Mapping[str, Any]) -> None:
    """A precision that is to be chosen needs someone who chooses, and one who chooses needs all of its values."""
    asked = config.get("performance") or {"name": EXACT}
    if asked["name"] == EXACT and config["trainer"].get("precision") == AUTO:
        raise ConfigError("trainer.precision is auto, but performance=exact chooses none; set performance=auto")
    values = set() if asked["name"] == EXACT else {"loss", "gradient", "seconds"}
    if lacking := sorted(values - asked.keys()):
        raise ConfigError(f"performance.{lacking[0]} has no value; choose performance={asked['name']} as a whole")
    if more := sorted(asked.keys() - values - {"name"}):
        raise ConfigError(
            f"performance.{more[0]} is unknown; performance=exact has no options, auto and fast have "
            "loss, gradient and seconds"
        )


def _check_accelerator(name: object) -> None:
    if name not in ("gpu", "cuda", "mps"):
        return
    import torch

    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not (any(found.values()) if name == "gpu" else found[str(name)]):
        raise ConfigError(f"trainer.accelerator is {name}, but torch finds none; set trainer.accelerator=cpu or auto")


def _check_arguments(node: Any, where: str) -> None:
    """`_args_` is a list: the letters of a text would become arguments."""
    if isinstance(node, Mapping):
        if "_target_" in node and not isinstance(node.get("_args_") or [], list):
            raise ConfigError(f"{where}._args_ is {_shown(node['_args_'])}, but must be a list of arguments")
        for key, value in node.items():
            _check_arguments(value, f"{where}.{key}" if where else str(key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            _check_arguments(value, f"{where}[{index}]")


def _check_callbacks(config: Mapping[str, Any]) -> None:
    """Callbacks that choose or stop by a value: the run's own for the best epoch, none of test data."""
    for name, node in (config.get("callbacks") or {}).items():
        monitor = node.get("monitor") if isinstance(node, Mapping) else None
        if not isinstance(monitor, str):
            continue
        where, mode = f"callbacks.{name}", node.get("mode")
        if name == "best" and (monitor, mode) != (config["monitor"], config["mode"]):
            raise ConfigError(
                f"{where} chooses by {monitor} ({mode}), but the run by {config['monitor']} ({config['mode']}); set "
                "monitor=... and mode=... of the run instead"
            )
        if monitor.startswith("test/"):
            raise ConfigError(f"{where}.monitor is '{monitor}', but test data must not steer training; use val/...")
        if mode is not None and mode not in ("min", "max"):
            raise ConfigError(f"{where}.mode is '{mode}', but must be min or max")
        wrong = (
            mode != config["mode"] if monitor == config["monitor"] else mode == "max" and metric_of(monitor) == "loss"
        )
        if mode is not None and wrong:
            raise ConfigError(f"{where}.mode is {mode}, which contradicts the direction of {monitor}; remove it")


def _values(config: Mapping[str, Any], key: str) -> Iterator[tuple[str, Any]]:
    """The values at a dotted key with their full keys; none where a part is absent."""
    found: list[tuple[str, Any]] = [("", config)]
    for part in key.split("."):
        inner = []
        for name, node in found:
            if isinstance(node, Mapping):
                parts = list(node) if part == "*" else [part] if part in node else []
                inner += [(f"{name}.{one}".lstrip("."), node[one]) for one in parts]
        found = inner
    yield from found


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) and not is_number(value) else repr(value)

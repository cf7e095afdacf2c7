"""The command: reads the data, asks the rules, writes an experiment and a page, and trains if asked to."""

import logging
import re
import time
from collections.abc import Mapping
from typing import Any

from tandem.errors import ConfigError

log = logging.getLogger(__name__)


def main() -> None:
    """The command of `scripts/plan.py`."""
    from tandem.cli import run_tool

    run_tool(plan_job, "plan", "interrupted; the same command goes on")


def plan_job(config: Mapping[str, Any]) -> None:
    """Makes a plan, writes it, and trains by it if `run=true`.

    Args:
        config: the resolved configuration of `conf/plan.yaml`.

    Raises:
        ConfigError: an option is wrong, or nothing can be learnt from the data.
        DataError: the data cannot be read.
    """
    from tandem.config.resolve import check_runs
    from tandem.plan.budget import seconds_of
    from tandem.plan.plan import Places, make_plan
    from tandem.plan.training import read_state, train_plan
    from tandem.utils.outputs import check_folder, named

    began = time.monotonic()
    check_runs(config["runs"])
    budget, name = seconds_of(config["budget"]), checked_name(config["name"])
    places = Places(check_folder(named(config)), name)
    kept = places.experiment.exists() and places.state.exists() and not config["overwrite"]
    if not (kept and (config["run"] or read_state(places)["training"]["folds"])):  # a new plan has trained nothing
        make_plan(config, places, budget)
    else:
        log.info("plan: %s, as it stands (overwrite=true makes a new one)", places.experiment)
    if config["run"]:
        train_plan(config, places, budget, began)


def checked_name(name: object) -> str:
    """The name of a plan.

    Raises:
        ConfigError: it is no name of an experiment.
    """
    if not re.fullmatch(r"[A-Za-z0-9][\w-]*", str(name)):
        raise ConfigError(f"name is '{name}', but must be letters, digits, _ and -, as the name of an experiment")
    return str(name)

"""Makes a plan: facts, rules, calibration, rules again, and the files."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tandem.errors import ConfigError
from tandem.plan.asked import Asked, typed
from tandem.plan.fingerprint import Fingerprint
from tandem.plan.rules import Decision, decide

log = logging.getLogger(__name__)

CHECKPOINTS = 1e8
"""Bytes that a run leaves, with room: two checkpoints, tables and pages."""


@dataclass(frozen=True)
class Places:
    """The files of a plan.

    Attributes:
        out: folder that `--config-dir` takes.
        name: of the experiment.
    """

    out: Path
    name: str

    @property
    def experiment(self) -> Path:
        """The experiment."""
        return self.out / "experiment" / f"{self.name}.yaml"

    @property
    def page(self) -> Path:
        """The page of the plan."""
        return self.out / f"{self.name}.html"

    @property
    def state(self) -> Path:
        """The fingerprint, the choices, and what has been trained."""
        return self.out / f"{self.name}.json"

    @property
    def result(self) -> Path:
        """The page of the result."""
        return self.out / f"{self.name}_result.html"

    @property
    def archive(self) -> Path:
        """The folds' run folders in one file."""
        return self.out / f"{self.name}.zip"


@dataclass(frozen=True)
class Plan:
    """A plan, before it is written.

    Attributes:
        found: the fingerprint, with what was measured.
        decisions: of the rules.
    """

    found: Fingerprint
    decisions: list[Decision]

    def text(self, name: str, asked: Asked) -> str:
        """The experiment.

        Args:
            name: of the experiment.
            asked: what the plan starts from.
        """
        from tandem.plan.experiment import experiment_text

        return experiment_text(name, asked, self.decisions, self.found)


def draw_up(name: str, asked: Asked, runs: Path, budget: float, calibrate: bool) -> Plan:
    """Looks at the data and the machine, measures, and asks the rules; writes nothing.

    Args:
        name: of the experiment.
        asked: what the plan starts from.
        runs: folder of runs.
        budget: seconds.
        calibrate: whether to measure.

    Raises:
        ConfigError: nothing can be learnt, or the disk is too small.
        DataError: the data cannot be read.
    """
    from tandem.plan.calibrate import measured

    found = look(asked, runs, budget)
    check_disk(found, runs)
    plan = Plan(found, decide(found, asked.rules))
    if not calibrate:
        return plan
    found = replace(found, **measured(plan.text(name, asked), name, found))
    return Plan(found, decide(found, asked.rules))


def make_plan(config: Mapping[str, Any], places: Places, budget: float) -> None:
    """Makes a plan, and writes the experiment, the page and the facts.

    Args:
        config: the resolved configuration of `conf/plan.yaml`.
        places: of the files.
        budget: seconds.

    Raises:
        ConfigError: nothing can be learnt, or the disk is too small.
        DataError: the data cannot be read.
    """
    from tandem.plan.outlook import outlook_of
    from tandem.plan.writer import plan_page, printed
    from tandem.utils.files import write_json, write_text
    from tandem.utils.written import writing

    asked = typed(config["data"])
    relative = ("experiment/" + places.experiment.name, places.page.name, places.state.name)
    with writing(places.out, "plan", config["overwrite"], *relative):
        plan = draw_up(places.name, asked, Path(config["runs"]), budget, config["calibrate"])
        found, decisions = plan.found, plan.decisions
        outlook = outlook_of(found)
        text = plan.text(places.name, asked)
        commands = next_commands(places, found, decisions)
        write_text(places.experiment, text)
        write_text(places.page, plan_page(found, decisions, outlook, text, commands))
        write_json(places.state, {"fingerprint": found.to_json(), "choices": as_json(decisions), "training": {}})
    for line in [*printed(found, decisions, outlook), f"plan: {places.experiment}", f"page: {places.page}"]:
        log.info("%s", line)
    if not config["run"]:
        log.info("next: %s", commands[0])


def look(asked: Asked, runs: Path, budget: float) -> Fingerprint:
    """The fingerprint of the data on this machine.

    Args:
        asked: what the plan starts from.
        runs: folder of runs.
        budget: seconds.

    Raises:
        ConfigError: nothing can be learnt from them.
    """
    from tandem.audit.audit import audit
    from tandem.audit.command import skipping
    from tandem.config.instantiate import build
    from tandem.plan.facts import fingerprint_of
    from tandem.plan.machine import this_machine
    from tandem.plan.rules.tasks import why_not

    source = build(skipping(asked.node), "data")
    splits = source.load()
    machine = this_machine(runs)
    found = fingerprint_of(source, splits, audit(source, splits), asked.node, asked.given, machine, budget)
    if reason := why_not(found):
        raise ConfigError(f"data {found.name}: {reason}")
    return replace(found, given=asked.settled(found))


def check_disk(found: Fingerprint, runs: Path) -> None:
    """Refuses a disk on which the runs of the plan do not fit.

    Raises:
        ConfigError: with what is needed.
    """
    from tandem.plan.rules.folds import fold_count
    from tandem.plan.rules.image_size import side_of

    folds = fold_count(found)[0]
    need = folds * CHECKPOINTS + 2 * found.images * side_of(found) ** 2 * 2
    if need > found.machine.disk:
        raise ConfigError(
            f"the disk of runs={runs} has {found.machine.disk / 1e9:.2g} GB free, but the plan needs about "
            f"{need / 1e9:.2g} GB: free some, or give runs=... on another disk"
        )


def next_commands(places: Places, found: Fingerprint, decisions: list[Decision]) -> list[str]:
    """What to type next: training, all folds."""
    from tandem.utils.commands import spelled

    chosen = {key: value for one in decisions for key, value in one.choice.values.items()}
    train = f"{spelled('train')} --config-dir {places.out} experiment={places.name}"
    folds = chosen.get("data.folds", 1)
    every = f"{spelled('train')} -m --config-dir {places.out} experiment={places.name} "
    every += f"data.fold={','.join(map(str, range(folds)))}"
    return [train, *([every] if folds > 1 else [])]


def as_json(decisions: list[Decision]) -> dict[str, Any]:
    """The choices by rule, as plain containers."""
    found = {
        one.name: {
            "reason": one.choice.reason,
            "values": dict(one.choice.values),
            "groups": dict(one.choice.groups),
            "fired": one.choice.fired,
        }
        for one in decisions
    }
    return dict(json.loads(json.dumps(found, default=str)))

"""Plans of a paper: experiments that rules write from the data, before the runs and within the budget's time.

`plans.json` keeps the fingerprint of each plan with what was measured, by budget. The experiments follow from it and
from the paper, so that a plan is made once: typed again, and on another machine, the same runs are trained.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tandem.errors import ConfigError, DataError
from tandem.paper.jobs import MARK, check_files, filled
from tandem.paper.plan import Paper
from tandem.paper.settings import PaperSettings
from tandem.utils.files import read_json, write_json, write_text
from tandem.utils.written import writing

if TYPE_CHECKING:
    from tandem.plan.asked import Asked
    from tandem.plan.plan import Plan

log = logging.getLogger(__name__)

PLANS = "plans.json"


def with_plans(
    paper: Paper, budget: str, settings: PaperSettings, out: Path, source: Path | None = None
) -> PaperSettings:
    """Writes the experiments of a paper's plans to `out/plans`, and adds this folder to those with configurations.

    Args:
        paper: the paper, with its plans; without any, nothing is written.
        budget: name of the budget.
        settings: options of the command.
        out: folder of the paper.
        source: folder with the `plans.json` of others, by which runs are trained again; None: that of `out`, in which
            plans that are missing are made.

    Raises:
        ConfigError: a plan is missing and may not be made, or nothing can be learnt from its data.
        DataError: `plans.json` or the data cannot be read.
    """
    if not paper.plans:
        return settings
    known = _read((source or out) / PLANS)
    with writing(out, "reproduce", settings.overwrite):
        for name, asked in _asked(paper, settings.data).items():
            entry = known.setdefault(budget, {}).get(name)
            if entry is None or entry.get("asked") != _identity(paper, name, budget):
                if source is not None or not settings.launch:
                    raise ConfigError(f"the plan '{name}' is not in {(source or out) / PLANS}; reproduce the paper "
                                      "with launch=true, which makes it")  # fmt: skip
                check_files(settings.data)
                entry = known[budget][name] = _made(paper, name, budget, asked, settings.runs)
                write_json(out / PLANS, known)
            write_text(out / "plans" / "experiment" / f"{name}.yaml", _text(paper, name, asked, entry, source or out))
        write_json(out / PLANS, known)
    return replace(settings, folders=[*settings.folders, str((out / "plans").absolute())])


def _made(paper: Paper, name: str, budget: str, asked: "Asked", runs: Path) -> dict[str, Any]:
    """Looks at the data and measures."""
    from tandem.plan.budget import seconds_of
    from tandem.plan.plan import draw_up

    time = paper.budgets[budget].time
    log.info("plan %s: within %s", name, time)
    plan: Plan = draw_up(name, asked, runs, seconds_of(time), calibrate=True)
    return {"asked": _identity(paper, name, budget), "fingerprint": plan.found.to_json()}


def _text(paper: Paper, name: str, asked: "Asked", entry: Mapping[str, Any], source: Path) -> str:
    """The experiment, from a stored fingerprint; it names none of the reader's paths."""
    from tandem.plan.fingerprint import Fingerprint
    from tandem.plan.plan import Plan
    from tandem.plan.rules import decide

    own = {word.lstrip("+").partition("=")[0] for word in paper.plan_words(name) if MARK.search(word)}
    shared = replace(asked, given={key: value for key, value in asked.given.items() if key not in own})
    try:
        found = Fingerprint.from_json(entry["fingerprint"], {})
        found = replace(found, given=asked.settled(found))
        return Plan(found, decide(found, asked.rules)).text(name, shared)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise DataError(f"{source / PLANS}: the plan '{name}' cannot be read ({error}); remove the file") from error


def _asked(paper: Paper, data: Mapping[str, Any]) -> dict[str, "Asked"]:
    from tandem.plan.asked import asked_by
    from tandem.python.config import application

    with application(None) as hydra:
        return {
            name: asked_by(filled(paper.plan_words(name), data), plan.rules, hydra)
            for name, plan in paper.plans.items()
        }


def _identity(paper: Paper, name: str, budget: str) -> dict[str, Any]:
    """What a plan was made for; one that was made for something else is made anew."""
    return {
        "words": list(paper.plan_words(name)),
        "rules": list(paper.plans[name].rules),
        "time": paper.budgets[budget].time,
    }


def _read(path: Path) -> dict[str, dict[str, Any]]:
    if not path.exists():
        return {}
    try:
        return {str(budget): dict(plans) for budget, plans in read_json(path).items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path} holds no plans ({error}); remove it, and they are made anew") from error

"""The results of a search: the best trials, the importance of each key, and the command that reruns the best trial."""

import csv
import io
import shlex
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tandem.search.settings import SearchSettings
from tandem.search.space import as_overrides
from tandem.search.trials import Trials
from tandem.search.work import short_value, short_values
from tandem.utils.artifacts import TRIALS
from tandem.utils.console import escape
from tandem.utils.files import write_text
from tandem.utils.terminal_table import print_table

SHOWN = 5
"""Maximum number of best trials and of reasons for failures that are printed."""

ENOUGH = 10
"""Minimum number of complete trials for the importance of keys."""


def print_search(trials: Trials, words: Sequence[str], program: str, console: Console) -> None:
    """Prints the answer in a sentence, the best trials or the Pareto front, the importance of each key, and commands.

    Args:
        trials: of the search.
        words: overrides of every trial.
        program: the command that trains.
        console: to print to.
    """
    settings, everyone = trials.settings, trials.all()
    states = [_state(trial) for trial in everyone]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(sorted(states)))
    console.print(f"search: {counts or 'no trials'} ({settings.folder / 'search.db'})", **_PLAIN)
    failed = [trial for trial in everyone if trial.state.name == "FAIL"]
    for trial in failed[-SHOWN:]:
        console.print(f"failed: trial {trial.number}: {trial.user_attrs['reason']}", style="yellow", **_PLAIN)
    best = best_trials(trials)
    if not best:
        return
    front = len(settings.objectives) > 1
    console.print(_answer(best, settings, states.count("complete")), **_PLAIN)
    print_table(_table(best if front else best[:SHOWN], settings, "Pareto front" if front else "best trials"), console)
    for line in _importances(trials):
        console.print(line, **_PLAIN)
    for label, trial in _best_to_rerun(best, settings):
        chosen = as_overrides({key: trial.params[key] for key in settings.space})
        console.print(f"{label}, trial {trial.number}: {program} {shlex.join([*words, *chosen])}", **_PLAIN)
        console.print(f"the same with seeds that did not choose it: {program} {_with_seeds(words, chosen)}", **_PLAIN)


def _answer(best: Sequence[Any], settings: SearchSettings, complete: int) -> str:
    """What the search has found, in a sentence, and how sure it is."""
    many = f"{complete} complete trial{'' if complete == 1 else 's'}"
    if len(settings.objectives) > 1:
        said = f"{len(best)} of {many} on the Pareto front of {' and '.join(settings.objectives)}"
    else:
        values = short_values({key: best[0].params[key] for key in settings.space})
        said = f"best of {many}: {settings.objectives[0]} {best[0].values[0]:.4f} at {values}"
    return f"{said}; one run each, and the best of many is too good by chance"


def _with_seeds(words: Sequence[str], chosen: Sequence[str]) -> str:
    """The words of a sweep that repeats a trial with seeds other than its own, in a folder of its own."""
    typed = dict(word.split("=", 1) for word in words if word.startswith(("name=", "seed=")))
    first = int(typed.get("seed", "0")) + 1 if typed.get("seed", "0").isdecimal() else 1
    others = [word for word in words if not word.startswith(("name=", "seed="))]
    seeds = ",".join(str(first + place) for place in range(3))
    return shlex.join(["-m", *others, f"name={typed.get('name', 'search')}_best", *chosen, f"seed={seeds}"])


_PLAIN: dict[str, Any] = {"markup": False, "highlight": False, "soft_wrap": True}


def best_trials(trials: Trials) -> list[Any]:
    """Complete trials, the best first, each run once; with several objectives, the Pareto front.

    Args:
        trials: of the search.
    """
    study, settings = trials.study, trials.settings
    complete = [trial for trial in trials.all() if trial.state.name == "COMPLETE"]
    if len(settings.objectives) > 1:
        front = {trial.number for trial in study.best_trials}
        complete = [trial for trial in complete if trial.number in front]
    ordered = sorted(complete, key=lambda trial: _badness(trial, settings, 0))
    return list({trial.user_attrs["folder"]: trial for trial in reversed(ordered)}.values())[::-1]


def write_trials(trials: Trials) -> Path:
    """Writes every trial as a row: number, state, objectives, values, seconds, folder, reason.

    Args:
        trials: of the search.
    """
    settings, text = trials.settings, io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["trial", "state", *settings.objectives, *settings.space, "seconds", "folder", "reason"])
    for trial in trials.all():
        values = trial.values if trial.state.name == "COMPLETE" else [""] * len(settings.objectives)
        about = [trial.user_attrs.get(key, "") for key in ("seconds", "folder", "reason")]
        chosen = [trial.params.get(key, "") for key in settings.space]
        rows.writerow([trial.number, _state(trial), *values, *chosen, *about])
    path = settings.folder / TRIALS
    write_text(path, text.getvalue())
    return path


def _state(trial: Any) -> str:
    name = trial.state.name.lower()
    return {"fail": "failed"}.get(name, str(name))


def _badness(trial: Any, settings: SearchSettings, place: int) -> float:
    value = float(trial.values[place])
    return -value if settings.directions[place] == "maximize" else value


def _table(shown: Sequence[Any], settings: SearchSettings, title: str) -> Table:
    from tandem.reports.sweep_table import short_key

    table = Table(title=title, title_justify="left")
    table.add_column("trial", justify="right")
    for name, way in zip(settings.objectives, settings.directions, strict=True):
        better = "higher is better" if way == "maximize" else "lower is better"
        table.add_column(escape(name.replace("/", "\n") + f"\n({better})"), justify="right")
    for key in settings.space:
        table.add_column(escape(short_key(key, list(settings.space))), justify="right", overflow="fold")
    table.add_column("run", no_wrap=True)
    for trial in shown:
        chosen = [escape(short_value(trial.params[key])) for key in settings.space]
        values = [f"{value:.4f}" for value in trial.values]
        table.add_row(str(trial.number), *values, *chosen, Path(trial.user_attrs["folder"]).name)
    return table


def _importances(trials: Trials) -> Iterator[str]:
    """A line for each objective: the importance of each key (PED-ANOVA, Watanabe et al., 2023)."""
    from tandem.reports.sweep_table import short_key

    optuna, keys = trials.optuna, list(trials.settings.space)
    complete = [trial for trial in trials.all() if trial.state.name == "COMPLETE"]
    if len(complete) < ENOUGH or len(keys) < 2:
        return
    for place, name in enumerate(trials.settings.objectives):
        if len({trial.values[place] for trial in complete}) < 2:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            shares = optuna.importance.get_param_importances(trials.study, target=_value(place))
        listed = ", ".join(f"{short_key(key, keys)} {share:.2f}" for key, share in shares.items())
        yield f"importance for {name}, over {len(complete)} trials: {listed}"


def _value(place: int) -> Callable[[Any], float]:
    def value(trial: Any) -> float:
        return float(trial.values[place])

    return value


def _best_to_rerun(best: Sequence[Any], settings: SearchSettings) -> Iterator[tuple[str, Any]]:
    """The best trial of each objective, once, with a label that names the objectives."""
    leaders = [_leader(best, settings, place) for place in range(len(settings.objectives))]
    for leader in {trial.number: trial for trial in leaders}.values():
        names = [name for name, trial in zip(settings.objectives, leaders, strict=True) if trial is leader]
        yield f"rerun the best in {' and '.join(names)}", leader


def _leader(best: Sequence[Any], settings: SearchSettings, place: int) -> Any:
    return min(best, key=lambda trial: _badness(trial, settings, place))

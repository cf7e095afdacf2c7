"""Who takes which trial: the same ones whoever is interrupted, each once however many take them."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.search.fakes import finish

from tandem.errors import ConfigError
from tandem.search.space import Range
from tandem.search.trials import KILLS, Trials

Make = Callable[..., Trials]
REPOSITORY = Path(__file__).parents[2]


def start(*arguments: str | Path) -> "subprocess.Popen[str]":
    pipe = subprocess.PIPE
    words = [sys.executable, "-m", "tests.search.worker", *arguments]
    return subprocess.Popen(words, cwd=REPOSITORY, stdin=pipe, stdout=pipe, text=True)


def begin(*workers: "subprocess.Popen[str]") -> None:
    """Lets workers take trials once all of them have opened the search."""
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("\n")
        worker.stdin.flush()


def dies(trials: Trials) -> None:
    """What others see of a process that was killed."""
    trials.presence.end()


def test_the_seed_decides_the_trials(search: Make) -> None:
    first = finish(search("a"))
    assert len(first) == 6
    assert finish(search("b")) == first
    assert finish(search("c", seed=1)) != first
    assert len({values["x"] for values in first}) == 6


def test_a_search_finds_the_peak_that_chance_would_miss(search: Make) -> None:
    taken = finish(search(n_trials=30, startup=8))
    late = [abs(values["x"] - 2) for values in taken[20:]]
    assert sum(late) / len(late) < 1, "a draw at random is 2.9 away in the mean"


def test_the_same_command_goes_on_and_then_has_nothing_to_do(search: Make) -> None:
    whole = finish(search("whole"))
    first = search("cut", n_trials=2)
    assert finish(first) + finish(search("cut", n_trials=6)) == whole
    assert finish(search("cut", n_trials=6)) == []


def test_a_killed_trial_is_begun_again_and_changes_no_other(search: Make) -> None:
    whole = finish(search("whole"))
    killed = search("cut")
    for _ in range(2):
        trial = killed.claim(0)
        killed.complete(trial, [0.5]) if trial.number == 0 else trial.report(0.25, 0)
    dies(killed)
    after = search("cut")
    trial = after.claim(0)
    assert trial.params == whole[1]
    frozen = next(each for each in after.all() if each.number == trial.number)
    assert frozen.intermediate_values == {0: 0.25}, "what it reported is known, so that no epoch is reported twice"
    after.complete(trial, [0.5])
    finish(after)
    assert [each.state.name for each in after.all()] == ["COMPLETE"] * 6


def test_an_interrupted_trial_is_the_next_to_be_taken(search: Make) -> None:
    trials = search()
    values = (trial := trials.claim(0)).params
    trials.put_back(trial)
    assert [each.state.name for each in trials.all()] == ["WAITING"]
    assert trials.claim(0).params == values


def test_a_trial_that_kills_its_process_in_one_epoch_again_and_again_fails(search: Make) -> None:
    for _ in range(KILLS):
        trials = search()
        values = trials.claim(0).params
        dies(trials)
    last = search()
    assert last.claim(0).params != values
    (failed,) = [trial for trial in last.all() if trial.state.name == "FAIL"]
    assert failed.user_attrs["reason"] == f"killed {KILLS} times in the same epoch"


def test_a_trial_that_gets_further_each_time_is_never_given_up(search: Make) -> None:
    for epoch in range(KILLS + 2):
        trials = search()
        (trial := trials.claim(0)).set_user_attr("epoch", epoch)
        dies(trials)
    assert search().claim(0).params == trial.params


def test_failed_trials_count_in_their_launch_and_are_replaced_in_the_next(search: Make) -> None:
    trials = search(n_trials=3)
    for _ in range(3):
        trials.fail(trials.claim(0), "loss is not a number")
    assert trials.claim(0) is None, "a search of failures ends"
    assert len(finish(trials, since=trials.next_number())) == 3


def test_pruned_trials_count(search: Make) -> None:
    trials = search(n_trials=1)
    trials.prune(trials.claim(0), "too low")
    assert trials.claim(trials.next_number()) is None


def test_another_search_in_the_same_folder_is_refused(search: Make) -> None:
    finish(search())
    for changes, said in (
        ({"base": "other"}, r"search.db was started with another configuration \(then: seed=1\); give"),
        ({"space": {"x": Range(-5.0, 6.0)}}, "was started with another search.space"),
        ({"directions": ["minimize"]}, "was started with another search.objectives"),
    ):
        with pytest.raises(ConfigError, match=said):
            search(**changes)


def test_a_search_of_which_nothing_came_gives_way_to_another(search: Make) -> None:
    trials = search()
    trials.fail(trials.claim(0), "no such folder")
    assert len(finish(search(base="other"))) == 6


def test_a_file_that_is_no_database_is_named(search: Make, tmp_path: Path) -> None:
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "search.db").write_text("not a database" * 100)
    with pytest.raises(ConfigError, match=r"search\.db is not the database of a search"):
        search()


@pytest.mark.full
def test_two_processes_that_start_at_once_share_the_trials(search: Make, tmp_path: Path) -> None:
    workers = [start(tmp_path / "search") for _ in range(2)]
    begin(*workers)
    took = [worker.communicate(timeout=120)[0].splitlines() for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    numbers = sorted(int(line.split()[0]) for lines in took for line in lines)
    assert numbers == list(range(8)), "each trial once"
    assert all(took), "and both had some"
    assert len(search(n_trials=8).all()) == 8


def test_a_trial_of_a_living_process_is_left_alone_and_taken_when_that_is_killed(search: Make, tmp_path: Path) -> None:
    worker = start(tmp_path / "search", "hang")
    begin(worker)
    assert worker.stdout is not None
    value = float(worker.stdout.readline().split()[1])
    trials = search(n_trials=8)
    assert trials.claim(0).params["x"] != value
    os.kill(worker.pid, signal.SIGKILL)
    worker.communicate()
    assert trials.claim(0).params["x"] == value

"""Runs trained again: what is the same, what is near enough, what differs."""

import copy
import json
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from tandem.paper.jobs import PaperJob
from tandem.paper.verify import REPORT, compare, pairs, sample, verify

JOB = PaperJob("one", ("seed=0",), {}, "made/0")

THEN: dict[str, Any] = {
    "metrics": {"test/s/dice": 0.5, "test/loss": 4.0, "test/s/recall": None}, "thresholds": {"s": [0.3]},
    "best_epoch": 3, "device": "x86_64", "processor": "Intel", "threads": 1, "platform": "linux",
    "versions": {"torch": "2.15"},
}  # fmt: skip


def after(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """The same results after a change."""
    now = copy.deepcopy(THEN)
    change(now)
    return now


@pytest.mark.parametrize(
    ("change", "verdict", "exact"),
    [
        (lambda now: None, "identical", True),
        (lambda now: now["metrics"].update({"test/s/dice": 0.5 + 1e-12}), "differs", True),
        (lambda now: now["metrics"].update({"test/s/recall": 0.5}), "differs", True),
        (lambda now: now["metrics"].pop("test/s/recall"), "identical", True),
        (lambda now: now["metrics"].update({"test/new": 0.5}), "identical", True),
        (lambda now: now["metrics"].pop("test/s/dice"), "identical", True),
        (lambda now: now.update(metrics={"test/other": 1.0}, thresholds={}), "differs", True),
        (lambda now: now["versions"].update(tandem="9.9"), "identical", True),
        (lambda now: now.update(name="another"), "identical", True),
        (lambda now: now["thresholds"].update(s=[0.31]), "differs", True),
        (lambda now: now.update(best_epoch=2), "differs", True),
        (lambda now: now.update(threads=2), "identical", False),
        (lambda now: (now.update(threads=2), now["metrics"].update({"test/s/dice": 0.51})), "within tolerance", False),
        (lambda now: (now.update(threads=2), now["metrics"].update({"test/loss": 4.07})), "within tolerance", False),
        (lambda now: (now.update(threads=2), now["metrics"].update({"test/s/dice": 0.53})), "differs", False),
        (
            lambda now: (now.update(processor="AMD"), now["metrics"].update({"test/s/dice": 0.51})),
            "within tolerance",
            False,
        ),
        (lambda now: (now.update(platform="mac"), now["metrics"].update({"test/s/recall": 0.1})), "differs", False),
        (lambda now: (now.update(versions={}), now.update(best_epoch=2)), "within tolerance", False),
    ],
)
def test_two_results(change: Callable[[dict[str, Any]], object], verdict: str, exact: bool) -> None:
    found = compare(JOB, THEN, after(change), 0.02)
    assert (found.verdict, found.exact) == (verdict, exact)
    assert found.passed == (verdict in ("identical", "within tolerance"))


def test_numbers_that_one_run_lacks_are_counted() -> None:
    found = compare(JOB, THEN, after(lambda now: now["metrics"].update({"test/new": 0.5})), 0.02)
    assert (found.compared, found.unmatched) == (4, 1)
    # an empty cell of runs.csv: another run of the table has that task
    found = compare(JOB, after(lambda then: then["metrics"].update({"test/other/dice": None})), THEN, 0.02)
    assert (found.compared, found.unmatched) == (4, 0)


def test_on_a_graphics_card_nothing_is_asked_bit_for_bit() -> None:
    card = after(lambda now: now.update(device="NVIDIA H100"))
    assert not compare(JOB, card, card, 0.02).exact


def test_a_run_that_does_not_name_its_processor_may_be_of_another_one() -> None:
    unknown = after(lambda now: now.pop("processor"))
    assert not compare(JOB, unknown, unknown, 0.02).exact


def test_the_sample_is_drawn_by_its_seed() -> None:
    jobs = [PaperJob("one", (f"seed={seed}",), {}, f"made/{seed}") for seed in range(20)]
    assert sample(jobs, 3, 0) == sample(list(jobs), 3, 0)
    assert len({tuple(job.place for job in sample(jobs, 3, seed)) for seed in range(10)}) > 5
    assert sample(jobs, 99, 0) == jobs
    assert pairs(jobs[:2], [PaperJob("one", ("seed=1",), {}, "here/9")]) == [
        (jobs[1], PaperJob("one", ("seed=1",), {}, "here/9"))
    ]


def test_one_that_was_cut_goes_on_and_one_that_ended_begins_anew(make: Any, tmp_path: Any) -> None:
    jobs = [make.run("seg", seed, []) for seed in range(2)]
    outcome, out = make.outcome(), tmp_path / "out"
    trained: list[tuple[str, int | None]] = []

    def train(job: PaperJob, threads: int | None) -> None:
        trained.append((job.place, threads))
        if len(trained) == 2:
            raise KeyboardInterrupt
        shutil.copytree(make.folder / job.place, out / "verify" / job.place, dirs_exist_ok=True)
        if job is jobs[1]:  # its second training comes to something else
            file = out / "verify" / job.place / "results.json"
            results = json.loads(file.read_text())
            file.write_text(json.dumps(results | {"metrics": {"test/loss": 9.0}}))

    same = [(job, job) for job in jobs]
    with pytest.raises(KeyboardInterrupt):
        verify(same, outcome, out, 0.02, train)
    assert not (out / REPORT).exists()
    checks = verify(same, outcome, out, 0.02, train)
    assert [check.verdict for check in checks] == ["identical", "differs"]
    assert checks[1].where == "metrics.test/loss: 0.5 then, 9.0 now"
    assert trained[0] == (jobs[0].place, 1), "with as many threads as before"
    assert not (out / "verify" / jobs[0].place).exists(), "what is the same is not kept"
    assert (out / "verify" / jobs[1].place).exists(), "what differs is"
    verify(same[:1], outcome, out, 0.02, train)
    assert not (out / "verify" / jobs[1].place).exists()


def test_a_run_that_does_not_finish_again_fails(make: Any, tmp_path: Any) -> None:
    job = make.run("seg", 0, [])
    (check,) = verify([(job, job)], make.outcome(), tmp_path / "out", 0.02, lambda job, threads: None)
    assert (check.verdict, check.passed) == ("not finished", False)

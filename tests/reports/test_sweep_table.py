"""The table after a sweep: swept options and results."""

import io

from rich.console import Console

from tandem.reports.sweep_table import JobRow, best_jobs, outcomes, print_sweep, swept


def job(gamma: str, dice: float | None, *more: str) -> JobRow:
    metrics = {"val/lesion/dice": dice, "test/lesion/dice": 0.25, "val/lesion/loss": 1.0, "val/loss": 1.0}
    return JobRow(
        [f"tasks.lesion.loss.gamma={gamma}", "seed=3", *more], {"metrics": metrics, "config": {"tasks": {"lesion": {}}}}
    )


def shown(*jobs: JobRow) -> str:
    console = Console(file=io.StringIO(), width=120)
    print_sweep(jobs, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_only_what_differs_is_a_column() -> None:
    assert swept([job("1", 0.5), job("2", 0.6)]) == {"tasks.lesion.loss.gamma": ["1", "2"]}


def test_a_key_that_one_job_lacks_is_a_dash() -> None:
    assert swept([job("1", 0.5, "+extra=a"), job("1", 0.6)]) == {"extra": ["a", "-"]}


def test_the_headline_of_each_task_is_shown() -> None:
    assert outcomes(job("1", 0.5)) == {"val/lesion/dice": 0.5, "test/lesion/dice": 0.25}


def test_one_line_for_each_job_with_short_names() -> None:
    text = shown(job("1", 0.5), job("2.5", None))
    assert [line.split()[1::2] for line in text.splitlines() if "0.25" in line] == [
        ["1", "0.500", "0.250"],
        ["2.5", "-", "0.250"],
    ]
    assert "gamma" in text
    assert "tasks.lesion" not in text
    assert "val lesion" in text


def test_text_from_a_configuration_is_no_markup() -> None:
    assert "[red]" in shown(job("[red]", 0.5), job("2", 0.5))


def test_nothing_is_printed_if_no_job_finished() -> None:
    assert shown() == ""


def test_of_many_jobs_the_best_are_shown_in_their_order() -> None:
    values = [0.1, None, 0.9, 0.5, float("nan")]
    jobs = [JobRow([f"a={place}"], {"metrics": {"val/x/dice": value}, "monitor": "val/x/dice", "mode": "max"})
            for place, value in enumerate(values)]  # fmt: skip
    assert [job.overrides for job in best_jobs(jobs, 2)] == [["a=2"], ["a=3"]]
    assert best_jobs(jobs, 9) == jobs
    least = [JobRow(job.overrides, {**job.results, "mode": "min"}) for job in jobs]
    assert [job.overrides for job in best_jobs(least, 2)] == [["a=0"], ["a=3"]]

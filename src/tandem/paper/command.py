"""The command `reproduce`: runs what a paper is missing, writes its tables and figures, verifies and archives."""

import logging
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tandem.errors import ConfigError
from tandem.paper import launch
from tandem.paper.archive import by_other_rules, open_archive, same_tables, write_archive
from tandem.paper.jobs import PaperJob, check_files, filled, find_jobs, quoted, study_words
from tandem.paper.mixture import check_data, check_rows
from tandem.paper.outcome import Outcome, lacking_lines, read_outcome
from tandem.paper.plan import Paper
from tandem.paper.plans import with_plans
from tandem.paper.reading import read_paper
from tandem.paper.run_table import read_runs
from tandem.paper.settings import USUAL, PaperSettings, read_settings, spelled
from tandem.paper.verify import REPORT, Check, pairs, sample, verify
from tandem.utils.outputs import check_file, check_folder
from tandem.utils.written import writing

log = logging.getLogger(__name__)

WORST = 5
"""Number of failed or missing runs that the log names; the tables list all."""


def main() -> None:
    """Runs the command of `scripts/reproduce.py`."""
    from tandem.cli import run_tool

    typed = list(sys.argv)
    sys.argv[1:] = spelled(sys.argv[1:])

    def job(config: dict[str, Any]) -> None:
        launcher, folders = _hydra_options()
        command = [Path(typed[0]).name, *typed[1:]]
        done = reproduce(read_settings(config, launcher=launcher, folders=folders, command=command))
        if not done.good:
            raise SystemExit(1)

    run_tool(job, "reproduce", "interrupted; rerun the same command to resume")


@dataclass(frozen=True)
class Done:
    """Result of a reproduction.

    Attributes:
        out: folder of the paper.
        files: the written files.
        lacking: failed and missing runs, one line each.
        checks: comparisons of the runs that were trained again.
        changed: names of the tables that differ from those of the archive.
        remade: names of the tables that differ because the archive's intervals and tests follow other rules.
    """

    out: Path
    files: Sequence[Path]
    lacking: Sequence[str]
    checks: Sequence[Check]
    changed: Sequence[str]
    remade: Sequence[str] = ()

    @property
    def good(self) -> bool:
        """Whether every run is finished, every table agrees and every check passed."""
        return not self.lacking and not self.changed and all(check.passed for check in self.checks)


def reproduce(settings: PaperSettings) -> Done:
    """Runs, tabulates, verifies and archives a paper, as the options say.

    Args:
        settings: options of the command.

    Raises:
        TandemError: the paper's configuration is inconsistent, data are missing, or an archive cannot be trusted.
    """
    from tandem.paper.writer import write_paper

    started = time.time()
    if settings.source is not None:
        return _from_archive(settings, settings.source, started)
    node = settings.paper
    assert node is not None
    paper = read_paper(node)
    budget = paper.budget(settings.budget)
    out = check_folder(settings.out or settings.runs / "papers" / paper.name)
    zipped = (out if out.name else out.resolve()).with_name(f"{out.name or out.resolve().name}.zip")
    if settings.archive:
        check_file(zipped, "archive")
    if settings.against is not None:
        return _against(settings, settings.against, paper, out)
    settings = with_plans(paper, budget, settings, out)
    jobs = find_jobs(paper, budget, settings.data, settings.folders)
    outcome = read_outcome(jobs, settings.runs)
    log.info("paper %s, budget %s: %s", paper.name, budget, _counts(outcome))
    if not settings.mixed:
        check_data(outcome)
    if settings.launch and outcome.lacking:
        check_files(settings.data)
        _launch(paper, budget, settings, outcome, settings.runs)
        outcome = read_outcome(jobs, settings.runs)
    check_rows(paper, outcome, settings.mixed)
    with writing(out, "reproduce", settings.overwrite):
        files = write_paper(paper, budget, outcome, out, settings, started)
    lacking = lacking_lines(outcome, jobs)
    _log_lacking(lacking)
    checks = _verified(paper, budget, settings, outcome, jobs, out)
    if settings.archive:
        files.append(zipped)
        with writing(zipped.parent, "reproduce", settings.overwrite):
            write_archive(files[-1], node, budget, outcome, out)
        log.info("archive: %s", files[-1])
    return Done(out, files, lacking, checks, [])


def _from_archive(settings: PaperSettings, source: Path, started: float) -> Done:
    from tandem.paper.writer import write_paper

    out = check_folder(settings.out or settings.runs / "papers" / f"{source.resolve().stem}-from-archive")
    node, budget, jobs, folder = open_archive(source, out)
    paper = read_paper(node)
    outcome = read_outcome(jobs, folder / "runs")
    log.info("paper %s, budget %s, from %s: %s", paper.name, budget, source, _counts(outcome))
    with writing(out, "reproduce", settings.overwrite):
        files = write_paper(paper, budget, outcome, out, settings, started, folder)
    differing, others = same_tables(folder, out), by_other_rules(folder, node)
    remade = [name for name in differing if Path(name).stem in others]
    changed = [name for name in differing if name not in remade]
    verdict = f"{', '.join(changed)} differ from the archive" if changed else "identical to the archive, byte for byte"
    log.info("tables rewritten: %s", verdict)
    if remade:
        log.warning(
            "not compared with the archive: %s; its intervals and p values follow the rules of an older version of "
            "tandem (see docs/statistics.md)",
            ", ".join(remade),
        )
    checks: list[Check] = []
    if settings.verify != 0:
        settings = with_plans(paper, budget, settings, out, folder)
        here = find_jobs(paper, budget, settings.data, settings.folders)
        checks = _verified(paper, budget, settings, outcome, here, out)
    lacking = lacking_lines(outcome, jobs)
    _log_lacking(lacking)
    return Done(out, files, lacking, checks, changed, remade)


def _against(settings: PaperSettings, published: Path, paper: Paper, out: Path) -> Done:
    """Trains runs of a published folder again, with the folder's budget, and compares them with its `runs.csv`."""
    named, before = read_runs(published)
    budget = paper.budget(settings.budget or named)
    log.info("paper %s, budget %s, against %s: %d runs", paper.name, budget, published, len(before.jobs))
    check_files(settings.data)
    settings = with_plans(paper, budget, settings, out, published)
    here = find_jobs(paper, budget, settings.data, settings.folders)
    asked = replace(settings, verify=settings.verify or USUAL)
    checks = _verified(paper, budget, asked, before, here, out)
    return Done(out, [out / REPORT], [], checks, [])


def _launch(paper: Paper, budget: str, settings: PaperSettings, outcome: Outcome, runs: Path) -> None:
    """Launches a sweep for every study with missing runs; finished runs of the study are not repeated."""
    for study in paper.studies:
        left = [job for job in outcome.jobs if job.study == study and job.place in outcome.lacking]
        if not left:
            continue
        words = ["-m", *filled(study_words(paper, study, budget), settings.data), *_placed(settings, runs)]
        log.info("study %s: %d runs\n  tandem-train %s", study, len(left), shlex.join([*words, *settings.launcher]))
        launch.train([*words, *settings.launcher])


def _verified(
    paper: Paper, budget: str, settings: PaperSettings, outcome: Outcome, here: Sequence[PaperJob], out: Path
) -> list[Check]:
    """Trains some or all runs again, and compares their numbers."""
    if settings.verify == 0:
        return []
    finished = [job for job in outcome.jobs if job.place in outcome.runs]
    some = finished if settings.verify is None else sample(finished, settings.verify, settings.seed)
    found = pairs(some, here)
    if len(found) < len(some):
        raise ConfigError(
            "this configuration gives other runs than the archive; use the version of tandem that wrote it"
        )
    scratch = out / "verify"

    def train(job: PaperJob, threads: int | None) -> None:
        words = [*filled(job.overrides, settings.data), *_placed(settings, scratch), "hydra.mode=RUN"]
        launch.train(words, threads)

    with writing(out, "reproduce", settings.overwrite):
        checks = verify(found, outcome, out, settings.tolerance, train)
    for check in checks:
        required = "bit for bit" if check.exact else f"within {settings.tolerance:g}"
        details = f"; {check.where}" if check.where else ""
        details += f"; {check.unmatched} numbers exist in only one of the two runs" if check.unmatched else ""
        level = logging.INFO if check.passed else logging.ERROR
        log.log(
            level, "%s (%d numbers, required %s%s): %s", check.verdict, check.compared, required, details, check.job
        )
    return checks


def _placed(settings: PaperSettings, runs: Path) -> list[str]:
    first, further = settings.folders[:1], settings.folders[1:]  # Hydra takes one --config-dir
    search = [f"hydra.searchpath=[{','.join(quoted(f'file://{folder}') for folder in further)}]"] if further else []
    return [f"runs={quoted(str(runs))}", *(f"--config-dir={folder}" for folder in first), *search]


def _log_lacking(lines: Sequence[str]) -> None:
    for line in lines[:WORST]:
        log.warning("missing run: %s", line)
    if len(lines) > WORST:
        log.warning("... and %d more; the tables list all", len(lines) - WORST)


def _counts(outcome: Outcome) -> str:
    return f"{len(outcome.jobs)} runs, {len(outcome.runs)} finished, {len(outcome.lacking)} to run"


def _hydra_options() -> tuple[list[str], list[str]]:
    """The typed overrides of the launcher, and the folders given by `--config-dir`."""
    from hydra.core.hydra_config import HydraConfig

    known = HydraConfig.get()
    launcher = [word for word in known.overrides.hydra if word.startswith(("hydra/launcher", "hydra.launcher"))]
    folders = [source.path for source in known.runtime.config_sources if source.provider == "command-line"]
    return launcher, folders

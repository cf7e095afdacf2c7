"""Writes a paper's folder: tables, figures, verdicts and manifest."""

import hashlib
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tandem.paper.images import make_images
from tandem.paper.jobs import PaperJob
from tandem.paper.manifest import difference, manifest
from tandem.paper.outcome import Outcome, jobs_of, lacking_lines
from tandem.paper.plan import Paper, RowTable
from tandem.paper.plans import PLANS
from tandem.paper.run_table import MANIFEST, RUNS, runs_csv
from tandem.paper.settings import PaperSettings
from tandem.paper.tables import row_tables, study_tables, verdict_table
from tandem.paper.verdict import Verdict
from tandem.study.cells import Cell
from tandem.study.table import ResultTable, to_csv, to_latex, to_markdown
from tandem.utils.files import read_json, sha256, write_json, write_text
from tandem.utils.written import WrittenFiles

log = logging.getLogger(__name__)

DIFF = "code.diff"


def write_paper(
    paper: Paper,
    budget: str,
    outcome: Outcome,
    out: Path,
    settings: PaperSettings,
    started: float,
    archived: Path | None = None,
) -> list[Path]:
    """Writes tables (CSV, Markdown, LaTeX), figures (PDF, PNG) and the manifest, and logs the tables.

    Args:
        paper: the paper, with its tables.
        budget: name of the budget.
        outcome: outcome of its jobs.
        out: folder of the paper.
        settings: options of the command.
        started: start of the command, in seconds since 1970.
        archived: an unpacked archive, whose manifest is copied; None: write a new manifest.

    Returns:
        The written files.

    Raises:
        TandemError: a table does not match the runs.
    """
    if archived is None:
        for (split, flips), jobs in _with_images(paper, outcome).items():
            make_images(outcome.runs_of(jobs), settings.data, split, flips)
    tables, verdicts, cells = all_tables(paper, budget, outcome)
    files = []
    for name, table in tables.items():
        for suffix, written in (("csv", to_csv), ("md", to_markdown), ("tex", to_latex)):
            files.append(out / "tables" / f"{name}.{suffix}")
            write_text(files[-1], written(table))
    if verdicts:
        write_json(out / "verdicts.json", [_plain(one) for one in verdicts])
        files.append(out / "verdicts.json")
    if paper.figures:
        from tandem.paper.figures import paper_figures, write_figure

        for name, figure in paper_figures(paper, outcome, cells).items():
            files += write_figure(figure, out / "figures" / name)
    files.append(out / RUNS)
    write_text(files[-1], runs_csv(outcome))
    files.append(out / MANIFEST)
    if archived is None:
        write_json(files[-1], _manifest(paper, budget, outcome, out, settings, started))
    else:
        write_json(files[-1], read_json(archived / MANIFEST))
    _show(paper, tables, verdicts, lacking_lines(outcome, outcome.jobs), files)
    return files


def all_tables(
    paper: Paper, budget: str, outcome: Outcome
) -> tuple[dict[str, ResultTable], list[Verdict], dict[str, Mapping[str, Cell]]]:
    """Builds all tables of a paper.

    Args:
        paper: the paper, with its tables.
        budget: name of the budget.
        outcome: outcome of its jobs.

    Returns:
        The tables by name, a verdict for each published number, and the cells of the tables with named rows.
    """
    tables: dict[str, ResultTable] = {}
    verdicts: list[Verdict] = []
    cells: dict[str, Mapping[str, Cell]] = {}
    for name, table in paper.tables.items():
        if isinstance(table, RowTable):
            found, judged, cells[name] = row_tables(paper, name, table, outcome, budget)
            verdicts += judged
        else:
            found = study_tables(paper, name, table, outcome, budget)
        tables |= found
    if verdicts:
        tables["published"] = verdict_table(paper, budget, verdicts)
    return tables, verdicts, cells


def _with_images(paper: Paper, outcome: Outcome) -> dict[tuple[str, bool], list[PaperJob]]:
    """The jobs whose rows per image are read, by split and flips: test data, and validation data for fitted rules."""
    found: dict[tuple[str, bool], dict[PaperJob, None]] = {}
    for name, table in paper.tables.items():
        if not isinstance(table, RowTable) or not any(column.measure for column in table.columns.values()):
            continue
        for key, jobs in jobs_of(table, name, outcome.jobs).items():
            row = table.rows[key]
            rule = paper.refinement(row)
            for split in ("test", "val") if rule is not None and rule.fitted else ("test",):
                found.setdefault((split, row.flips), {}).update(dict.fromkeys(jobs))
    return {view: list(jobs) for view, jobs in found.items()}


def _manifest(
    paper: Paper, budget: str, outcome: Outcome, out: Path, settings: PaperSettings, started: float
) -> dict[str, Any]:
    found = manifest(paper, budget, outcome, settings.command, time.time() - started)
    changed = difference()
    if changed:
        write_text(out / DIFF, changed)
    else:
        WrittenFiles(out, "reproduce", settings.overwrite).remove(out / DIFF)
    found["diff"] = {"file": DIFF, "sha256": hashlib.sha256(changed.encode()).hexdigest()} if changed else None
    if paper.plans:
        found["plans"] = {"file": PLANS, "sha256": sha256(out / PLANS)}
    for key, values in found["mixed"].items():
        log.warning("the runs differ in %s: %s", key, "; ".join(values[:3]))
    return found


def _show(
    paper: Paper, tables: Mapping[str, ResultTable], verdicts: list[Verdict], lacking: list[str], files: list[Path]
) -> None:
    """Logs the tables without the list of missing runs, which is logged at the end."""
    for name in paper.tables:
        notes = [note for note in tables[name].notes if note not in lacking]
        log.info("\n%s", to_markdown(replace(tables[name], notes=notes)))
    if verdicts:
        log.info("published numbers: %s", tables["published"].notes[1])
    log.info("tables, figures, manifest: %s", files[-1].parent)


def _plain(one: Verdict) -> dict[str, Any]:
    return {
        "table": one.table, "row": one.row, "column": one.column, "ours": one.ours.__dict__,
        "published": one.published.__dict__, "interval": list(one.interval), "rule": one.rule, "verdict": one.words,
    }  # fmt: skip

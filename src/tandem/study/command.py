"""The command: reads the results of a study, writes tables and a page, and again while the sweep runs."""

import argparse
import hashlib
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tandem.errors import ConfigError, TandemError
from tandem.utils.commands import spelled
from tandem.utils.console import announce
from tandem.utils.names import printable
from tandem.utils.signals import exit_code, install
from tandem.utils.walk import files_named

if TYPE_CHECKING:
    from tandem.study.analysis import Analysis

PAGE = "report.html"
WORST = 5
"""So many failed or missing runs are named on the terminal; the page lists all."""


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        """Raises what the command then shows."""
        raise ConfigError(f"{message} (see --help)")


def main() -> None:
    """The command of `scripts/study.py`."""
    install()
    try:
        typed = _parser().parse_args()
        announce(f"tandem study: {' '.join(map(str, typed.folders))}")
        if typed.watch:
            watch_study(typed.folders, typed.baseline, typed.metrics, typed.every, typed.overwrite, typed.mixed)
        else:
            _say(
                *write_study(typed.folders, typed.baseline, typed.metrics, overwrite=typed.overwrite, mixed=typed.mixed)
            )
    except KeyboardInterrupt as stop:
        _fail("interrupted", exit_code(stop))
    except (TandemError, OSError) as error:
        _fail(" ".join(str(error).split()), 1)


def write_study(
    folders: Sequence[Path],
    baseline: Sequence[str] = (),
    metrics: Sequence[str] = (),
    reload: int | None = None,
    overwrite: bool = False,
    mixed: bool = False,
) -> "tuple[Analysis, list[Path]]":
    """Reads every `results.json` below some folders, writes tables and page into `study/` in the first folder.

    Of several folders the tables go to a folder that names the others, see `study_folder`.

    Args:
        folders: such as `runs/focal_grid`; several are one study.
        baseline: `key=value` words that name the cell to compare with; none: nothing is compared.
        metrics: logged names to show; none: the usual ones on test data.
        reload: seconds after which the page loads itself anew; None: never.
        overwrite: whether files in `study/` that this command did not write are replaced.
        mixed: whether runs are averaged although their data, version of tandem, device or precision differ.

    Returns:
        What was found, and the files, the page last.

    Raises:
        ConfigError: no such folder, no results, an unknown metric or baseline, plotly is missing.
    """
    from tandem.reports.metrics_table import write_metrics
    from tandem.study.analysis import analyse
    from tandem.study.mixture import check_cells
    from tandem.study.runs import read_study
    from tandem.study.table import to_csv, to_latex, to_markdown
    from tandem.study.tables import all_tables, run_records
    from tandem.utils.files import write_text
    from tandem.utils.written import writing

    analysis = analyse(read_study(folders), baseline, metrics)
    check_cells(analysis.cells, mixed)
    out = study_folder(folders)
    files: list[Path] = []
    with writing(out, "study", overwrite, PAGE, allow="--overwrite") as own:
        tables = all_tables(analysis)
        for name, table in tables.items():
            for suffix, written in (("csv", to_csv), ("md", to_markdown), ("tex", to_latex)):
                files.append(out / f"{name}.{suffix}")
                write_text(files[-1], written(table))
        files.append(out / "runs.csv")
        write_metrics(files[-1], run_records(analysis))
        for name in ("classes", "comparison", "delta_m"):  # of an earlier call that asked for more
            if name not in tables:
                for suffix in ("csv", "md", "tex"):
                    own.remove(out / f"{name}.{suffix}")
        from tandem.study.report.page import study_page

        files.append(out / PAGE)
        write_text(files[-1], study_page(analysis, tables, out, reload))
    return analysis, files


def study_folder(folders: Sequence[Path]) -> Path:
    """The folder of the tables: `study` in that of the study; for several, one in the first that names the others.

    The digits at its end are those of the paths of all folders, so that no two studies share it.

    Args:
        folders: of the study; one that is given twice, or lies in another, counts once.
    """
    real = list(dict.fromkeys(folder.resolve() for folder in folders))
    others = [place.name for place in real if place != real[0] and not place.is_relative_to(real[0])]
    if not others:
        return folders[0] / "study"
    digits = hashlib.sha256("\n".join(map(str, sorted(real))).encode()).hexdigest()[:6]
    return folders[0] / f"study_with_{'_'.join(others)[:80]}-{digits}"


def watch_study(
    folders: Sequence[Path],
    baseline: Sequence[str],
    metrics: Sequence[str],
    every: int,
    overwrite: bool = False,
    mixed: bool = False,
) -> None:
    """Writes the report whenever a run has finished, failed or gone on, until Ctrl-C; the page reloads itself.

    Args:
        folders: as of `write_study`; the first results are waited for.
        baseline: as of `write_study`; a cell that is not there yet is waited for too.
        metrics: as of `write_study`.
        every: seconds between two looks, at least 1.
        overwrite: as of `write_study`.
        mixed: as of `write_study`.
    """
    if every < 1:
        raise ConfigError(f"--every is {every}, but must be at least 1 second")
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"there is no folder {folder}; start the sweep first, or give the folder of a study")
    seen, written, said = None, False, ""
    print(f"watching {printable(', '.join(map(str, folders)))}; Ctrl-C ends", flush=True)  # noqa: T201 (for the terminal)
    try:
        while True:
            if (now := _state(folders)) != seen:
                seen = now
                try:
                    analysis, files = write_study(folders, baseline, metrics, every, overwrite, mixed)
                    written, line = True, f"{_counts(analysis)}: {files[-1]}"
                except ConfigError as error:
                    line = f"waiting: {error}"
                if line != said:
                    said = line
                    print(printable(f"{time.strftime('%H:%M:%S')} {line}"), flush=True)  # noqa: T201 (for the terminal)
            time.sleep(every)
    except KeyboardInterrupt:
        if written:
            _say(*write_study(folders, baseline, metrics, overwrite=overwrite, mixed=mixed))


def _state(folders: Sequence[Path]) -> frozenset[tuple[str, int]]:
    """What tells that something has happened in a study."""
    found = set()
    for path in (
        path for folder in folders for path in files_named(folder, "results.json", "status.json", "metrics.csv")
    ):
        try:
            found.add((str(path), path.stat().st_mtime_ns))
        except FileNotFoundError:  # replaced meanwhile; seen at the next look
            continue
    return frozenset(found)


def _say(analysis: "Analysis", files: Sequence[Path]) -> None:
    """The headlines of the main table, what is not there, and where the files lie."""
    from rich.console import Console
    from rich.table import Table as Printed

    from tandem.study.analysis import on_validation
    from tandem.study.table import Entry, Number, numeric_columns
    from tandem.study.tables import choice_lines, main_table, uncounted_lines, unfinished_lines
    from tandem.utils.console import escape
    from tandem.utils.terminal_table import print_table

    def shown(entry: Entry) -> str:
        text = escape(entry.text() if isinstance(entry, Number) else str(entry))
        return f"[bold]{text}[/]" if isinstance(entry, Number) and entry.best else text

    main = {name for test in analysis.headlines.values() for name in (on_validation(test), test)}
    brief = [name for name in analysis.metrics if name in main] or analysis.metrics
    console, table = Console(), main_table(replace(analysis, metrics=brief))
    printed = Printed(title=escape(f"{table.title}: {_counts(analysis)}"), title_justify="left")
    for name, numeric in zip(table.head, numeric_columns(table), strict=True):
        printed.add_column(escape(name.replace(".", ".\n")), justify="right" if numeric else "left", overflow="fold")
    for row in table.rows:
        printed.add_row(*map(shown, row))
    print_table(printed, console, table.head.index("n") + 1 if "n" in table.head else 1)
    for line in choice_lines(analysis):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for lines in (uncounted_lines(analysis), unfinished_lines(analysis)):
        more = [f"... and {len(lines) - WORST} more, on the page"] if len(lines) > WORST else []
        for line in [*lines[:WORST], *more]:
            console.print(line, style="yellow", markup=False, highlight=False, soft_wrap=True)
    names = ", ".join(path.name for path in files[:-1])
    console.print(f"tables: {files[0].parent} ({names})", highlight=False, soft_wrap=True, markup=False)
    console.print(f"page: {files[-1]}", highlight=False, soft_wrap=True, markup=False)


def _counts(analysis: "Analysis") -> str:
    runs = sum(len(cell.runs) for cell in analysis.cells)
    parts = [
        f"{runs} run{'s' if runs != 1 else ''} in {len(analysis.cells)} cell{'s' if len(analysis.cells) != 1 else ''}"
    ]
    states = [run.state for run in analysis.study.unfinished]
    parts += [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
    return ", ".join(parts + ([f"{len(analysis.missing)} missing"] if analysis.missing else []))


def _parser() -> Parser:
    from tandem.cli import version_line

    parser = Parser(
        prog="study.py",
        description="Tables (CSV, Markdown, LaTeX) and one page of a study, from the results.json of its runs.",
        epilog=f"example: {spelled('study')} runs/focal_grid --baseline gamma=2 alpha=0.25",
    )
    parser.add_argument("--version", action="version", version=version_line())
    parser.add_argument(
        "folders", nargs="+", type=Path, metavar="FOLDER", help="such as runs/focal_grid; several are one study"
    )
    parser.add_argument(
        "--baseline", nargs="+", default=(), metavar="KEY=VALUE", help="the cell that others are compared with"
    )
    parser.add_argument("--metrics", nargs="+", default=(), metavar="NAME", help="such as test/segmentation/dice")
    parser.add_argument(
        "--mixed", action="store_true", help="average runs although their data, version, device or precision differ"
    )
    parser.add_argument("--watch", action="store_true", help="write the report anew while the sweep runs; Ctrl-C ends")
    parser.add_argument("--every", type=int, default=10, metavar="SECONDS", help="between two looks (default: 10)")
    parser.add_argument(
        "--overwrite", action="store_true", help="also replace files in its study/ that this command did not write"
    )
    return parser


def _fail(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"error: {printable(message)}\n")
    raise SystemExit(code)

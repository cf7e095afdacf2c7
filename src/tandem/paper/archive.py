"""A paper's results in one zip file: tables, figures, manifest, and each run's configuration, results and image rows.

The archive holds no data and no checkpoints. Reading is safe: files are written to one folder only, and links, archives
of more than `LIMIT` bytes, and files other than text, PDF and PNG are refused.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tandem.errors import DataError
from tandem.paper.images import IMAGES
from tandem.paper.jobs import PaperJob
from tandem.paper.outcome import Outcome
from tandem.paper.plans import PLANS
from tandem.runs.ensemble_file import without_paths
from tandem.study.statistics import RULES
from tandem.utils.artifacts import PAPER, RESULTS
from tandem.utils.files import read_json
from tandem.utils.zips import write_zip, zip_members

OF_RUN = (RESULTS, "status.json", "config.yaml", "metrics.csv", *map(str, IMAGES.values()))
"""Files of a run in the archive."""

OF_PAPER = ("manifest.json", "code.diff", PLANS, "tables", "figures")
"""Files and folders of the paper in the archive."""

ENDINGS = {".json", ".yaml", ".csv", ".md", ".tex", ".pdf", ".png", ".diff"}
LIMIT = 4_000_000_000
MEMBERS = 100_000


def write_archive(path: Path, node: Mapping[str, Any], budget: str, outcome: Outcome, out: Path) -> None:
    """Writes the archive. The same content gives the same bytes.

    Args:
        path: the zip file.
        node: the paper's configuration.
        budget: name of the budget.
        outcome: outcome of the paper's jobs.
        out: folder of the paper, with tables and manifest.
    """
    import json

    head = {"statistics": RULES, "budget": budget, "jobs": [asdict(job) for job in outcome.jobs], "paper": node}
    members = {PAPER: json.dumps(head, indent=1).encode(), **dict(_files(outcome, out))}
    write_zip(path, members)


def open_archive(path: Path, out: Path) -> tuple[Mapping[str, Any], str, list[PaperJob], Path]:
    """Unpacks an archive that `write_archive` wrote, unless it is unpacked already.

    Args:
        path: the zip file, or the folder that it was unpacked into.
        out: parent of the folder to unpack into; that folder is named by the archive's content.

    Returns:
        The paper's configuration, the name of the budget, the jobs, and the unpacked folder.

    Raises:
        DataError: the file is missing, damaged, too large, or not a paper's archive.
    """
    from tandem.data.files.archives import folder_of

    if path.is_dir():
        folder = _unpacked(path)
        if folder.resolve() == out.resolve():
            raise DataError(
                f"out={out} is the archive itself, whose tables are compared with the new ones; set another"
            )
    elif path.is_file():
        _check(path)
        folder = folder_of(str(path), str(out))
    else:
        raise DataError(f"archive={path}: file not found")
    try:
        head = read_json(folder / PAPER)
        jobs = [PaperJob(**{**job, "overrides": tuple(job["overrides"])}) for job in head["jobs"]]
        node, budget = head["paper"], str(head["budget"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"archive={path} was not made by reproduce.py ({error})") from error
    for job in jobs:
        if ".." in Path(job.place).parts or Path(job.place).is_absolute():
            raise DataError(f"archive={path} names a run outside its folder ({job.place!r}): do not trust it")
    return node, budget, jobs, folder


def by_other_rules(folder: Path, node: Mapping[str, Any]) -> set[str]:
    """Names of the tables that an archive made by other rules for intervals and tests; none if the rules are the same.

    Comparisons, verdicts and tables of studies show intervals. Means and deviations do not depend on these rules.

    Args:
        folder: the unpacked archive.
        node: the paper's yaml.
    """
    if read_json(folder / PAPER).get("statistics", 1) == RULES:
        return set()
    tables = node.get("tables") or {}
    studies = {name for name, table in tables.items() if "study" in table}
    return {"published", *studies, *(f"{name}_comparison" for name in tables)}


def same_tables(folder: Path, out: Path) -> list[str]:
    """Names of the tables that differ from those of an archive, compared byte for byte.

    Args:
        folder: the unpacked archive.
        out: folder of the paper, with the newly written tables.
    """
    names = sorted(path.name for path in (folder / "tables").glob("*"))
    made = {path.name: path.read_bytes() for path in (out / "tables").glob("*")}
    return [name for name in names if made.get(name) != (folder / "tables" / name).read_bytes()]


def _files(outcome: Outcome, out: Path) -> Iterator[tuple[str, bytes]]:
    for name in OF_PAPER:
        found = out / name
        for path in sorted(found.iterdir()) if found.is_dir() else [found] if found.is_file() else []:
            yield str(path.relative_to(out)), path.read_bytes()
    for job in outcome.jobs:
        run = outcome.runs.get(job.place)
        for name in OF_RUN if run else ():
            if (path := run.folder / name).is_file():  # type: ignore[union-attr] # OF_RUN is read only if run is set
                yield f"runs/{job.place}/{name}", without_paths(path) if name == RESULTS else path.read_bytes()


def _unpacked(path: Path) -> Path:
    """The folder with the content of an unpacked archive: the given one, or the only one in it, as some programs do.

    Raises:
        DataError: it holds no archive of a paper.
    """
    inside = [place for place in (path, *sorted(path.iterdir())) if (place / PAPER).is_file()]
    if not inside:
        raise DataError(
            f"archive={path} is a folder without {PAPER}; give the zip file, or the folder with its content"
        )
    if len(inside) > 1:
        raise DataError(f"archive={path} holds several unpacked archives; give one of them, such as {inside[0]}")
    for file in inside[0].rglob("*"):
        if file.is_symlink():
            raise DataError(f"archive={path} holds the link {str(file)!r}: do not trust it")
    return inside[0]


def _check(path: Path) -> None:
    """Checks an archive before it is unpacked; unpacking itself refuses links and paths that lead outside."""
    infos = zip_members(path, "archive")
    if len(infos) > MEMBERS or sum(info.file_size for info in infos) > LIMIT:
        raise DataError(f"archive={path} exceeds {LIMIT // 10**9} GB unpacked or {MEMBERS:,} files")
    for info in infos:
        if Path(info.filename).suffix not in ENDINGS:
            raise DataError(f"archive={path} holds {info.filename!r}, which is not a result file: do not trust it")

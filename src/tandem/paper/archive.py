"""A paper's results in one zip file: tables, figures, manifest, and each run's configuration, results and image rows.

The archive holds no data and no checkpoints. Reading is safe: files are written to one folder only, and links, archives
of more than `LIMIT` bytes, and files other than text, PDF and PNG are refused.
"""

import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tandem.errors import DataError
from tandem.paper.images import IMAGES
from tandem.paper.jobs import PaperJob
from tandem.paper.outcome import Outcome
from tandem.utils.files import read_json, write_whole

OF_RUN = ("results.json", "status.json", "config.yaml", "metrics.csv", str(IMAGES))
"""Files of a run in the archive."""

OF_PAPER = ("manifest.json", "code.diff", "tables", "figures")
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

    head = {"budget": budget, "jobs": [asdict(job) for job in outcome.jobs], "paper": node}
    members = {"paper.json": json.dumps(head, indent=1).encode(), **dict(_files(outcome, out))}

    def write(file: Any) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
                info.external_attr = 0o644 << 16
                archive.writestr(info, content, zipfile.ZIP_DEFLATED)

    write_whole(path, write)


def open_archive(path: Path, out: Path) -> tuple[Mapping[str, Any], str, list[PaperJob], Path]:
    """Unpacks an archive that `write_archive` wrote.

    Args:
        path: the zip file.
        out: parent of the folder to unpack into; that folder is named by the archive's content.

    Returns:
        The paper's configuration, the name of the budget, the jobs, and the unpacked folder.

    Raises:
        DataError: the file is missing, damaged, too large, or not a paper's archive.
    """
    from tandem.data.files.archives import folder_of

    if not path.is_file():
        raise DataError(f"archive={path}: file not found")
    _check(path)
    folder = folder_of(str(path), str(out))
    try:
        head = read_json(folder / "paper.json")
        jobs = [PaperJob(**{**job, "overrides": tuple(job["overrides"])}) for job in head["jobs"]]
        node, budget = head["paper"], str(head["budget"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"archive={path} was not made by reproduce.py ({error})") from error
    for job in jobs:
        if ".." in Path(job.place).parts or Path(job.place).is_absolute():
            raise DataError(f"archive={path} names a run outside its folder ({job.place!r}): do not trust it")
    return node, budget, jobs, folder


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
                yield f"runs/{job.place}/{name}", path.read_bytes()


def _check(path: Path) -> None:
    """Checks an archive before it is unpacked; unpacking itself refuses links and paths that lead outside."""
    try:
        with zipfile.ZipFile(io.BytesIO(path.read_bytes()) if path.stat().st_size < LIMIT else path) as archive:
            infos = archive.infolist()
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"archive={path} is not a readable zip file ({error})") from error
    if len(infos) > MEMBERS or sum(info.file_size for info in infos) > LIMIT:
        raise DataError(f"archive={path} exceeds {LIMIT // 10**9} GB unpacked or {MEMBERS:,} files")
    for info in infos:
        if Path(info.filename).suffix not in ENDINGS:
            raise DataError(f"archive={path} holds {info.filename!r}, which is not a result file: do not trust it")

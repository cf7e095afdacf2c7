"""Several runs in one zip file, such as the folds of a plan: unpacked into the cache, and checked by their hashes.

The file holds a folder for each run, with what a restored run needs, and `ensemble.json`: the folders and the SHA-256
of each file. It holds no data; nothing in it is run.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tandem.config.places import STORED
from tandem.errors import DataError
from tandem.utils.artifacts import BEST, COMPUTED, DATA, ENSEMBLE, IDENTITY, METRICS, RESULTS, SPLITS_FILE
from tandem.utils.digests import read_artifact
from tandem.utils.files import as_json, known_sha256, read_json
from tandem.utils.zips import write_zip, zip_members

OF_RUN = (RESULTS, BEST, DATA, IDENTITY, METRICS, SPLITS_FILE, COMPUTED, "config.yaml")
"""Files of a run in the archive. Its digests stay behind, since the results lose the paths of a machine."""

ENDINGS = {".json", ".ckpt", ".csv", ".yaml"}


def is_ensemble(path: Path) -> bool:
    """Whether a path is a zip file of runs, by its name."""
    return path.suffix.lower() == ".zip" and path.is_file()


def write_ensemble(path: Path, runs: Mapping[str, Path], results: Mapping[str, bytes]) -> None:
    """Writes the file; the same runs give the same bytes.

    Args:
        path: of the zip file.
        runs: folders of finished runs, by their name in it.
        results: the content of `results.json` of each run, as it is handed over.
    """
    import hashlib
    import json

    members: dict[str, bytes] = {}
    for name, folder in runs.items():
        for file in OF_RUN:
            if (folder / file).is_file():
                members[f"{name}/{file}"] = results[name] if file == RESULTS else (folder / file).read_bytes()
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in members.items()}
    head = {"schema": 1, "runs": list(runs), "files": digests}
    write_zip(path, {ENSEMBLE: json.dumps(head, indent=1).encode(), **members})


def without_paths(file: Path) -> bytes:
    """A run's `results.json` without the absolute paths of this machine, which tell others nothing but names."""
    results = read_artifact(file)
    return file.read_bytes() if results.pop(STORED, None) is None else as_json(results).encode()


def runs_in(path: Path) -> list[Path]:
    """The run folders of such a file, unpacked into the cache.

    Args:
        path: the zip file.

    Raises:
        DataError: it is damaged, is another archive, or its files are not those that its hashes name.
    """
    from tandem.data.files.archives import folder_of

    _check(path)
    folder = folder_of(str(path), None)
    try:
        head = read_json(folder / ENSEMBLE)
        names, digests = [str(name) for name in head["runs"]], dict(head["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"run={path} holds {ENSEMBLE}, which cannot be read ({error}); copy the file again") from error
    _check_names(path, names)
    for name, digest in digests.items():
        file = folder / str(name)
        if ".." in Path(str(name)).parts or not file.is_file() or known_sha256(file) != digest:
            raise DataError(f"run={path} holds {name!r}, which is not the file that its hash names: copy it again")
    unknown = [name for name in names for file in (RESULTS, BEST) if f"{name}/{file}" not in digests]
    if unknown:
        raise DataError(f"run={path} names the run {unknown[0]!r} without its files: copy it again")
    return [folder / name for name in names]


def _check_names(path: Path, names: Sequence[str]) -> None:
    for name in names:
        if not name or Path(name).is_absolute() or len(Path(name).parts) != 1 or name == "..":
            raise DataError(f"run={path} names a run outside its folder ({name!r}): do not trust it")
    if not names:
        raise DataError(f"run={path} holds no run")


def _check(path: Path) -> None:
    found = [info.filename for info in zip_members(path, "run")]
    if ENSEMBLE not in found:
        raise DataError(f"run={path} is a zip file without {ENSEMBLE}; give one that tandem-plan wrote, or run folders")
    if others := [name for name in found if not name.endswith("/") and Path(name).suffix not in ENDINGS]:
        raise DataError(f"run={path} holds {others[0]!r}, which is no file of a run: do not trust it")

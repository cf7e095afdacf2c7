"""Whether shards are as they were written: each byte is read once on a machine, then only the state of the files."""

import logging
from collections.abc import Mapping
from pathlib import Path

from tandem.data.files.cache import digest
from tandem.data.files.file_state import recall_digests, remember_digests, state_of
from tandem.data.files.inventory import DIGITS, listed
from tandem.data.shards.index import check_size
from tandem.data.shards.manifest import MANIFEST
from tandem.errors import DataError
from tandem.utils.locks import NoLocks, holding

log = logging.getLogger(__name__)


def check_files(root: Path, files: Mapping[str, tuple[int, str]], cache: Path) -> list[Path]:
    """Compares all files with the sizes and digests that were noted when they were written.

    The processes of one machine take turns, so that one reads the files.

    Args:
        root: folder of the shards.
        files: bytes and SHA-256 by path from the root.
        cache: folder in which the digests of unchanged files are kept.

    Returns:
        All files, `shards.json` first.

    Raises:
        DataError: a file is missing, cut off or another one.
    """
    paths = [root / MANIFEST, *(root / name for name in files)]
    for path, (size, _) in zip(paths[1:], files.values(), strict=True):
        check_size(path, size)
    wanted = [known[:DIGITS] for _, known in files.values()]
    found = recall_digests(cache, paths, root)
    if found is None:
        total = sum(size for size, _ in files.values())
        try:
            with holding(cache / "shards.lock"):
                found = recall_digests(cache, paths, root) or _read(root, paths, cache, total)
        except NoLocks:
            found = _read(root, paths, cache, total)
        except OSError as error:
            log.info("%s cannot be written (%s): each start reads all shards", cache, error)
            found = _read(root, paths, cache, total)
    if wrong := [name for name, one, other in zip(files, wanted, found[1:], strict=True) if one != other]:
        raise DataError(
            f"{listed(wrong)} in '{root}' changed since the shards were written (another SHA-256): copy or write them "
            "again"
        )
    return paths


def _read(root: Path, paths: list[Path], cache: Path, total: int) -> list[str]:
    log.info("%s: each byte of %.3g GB is compared with its SHA-256, once on this machine", root, total / 1e9)
    before = state_of(paths, root)
    digests = [digest(path, path.relative_to(root).as_posix()) for path in paths]
    if before is not None and before == state_of(paths, root):
        remember_digests(cache, before, digests)
    return [one.hex()[:DIGITS] for one in digests]

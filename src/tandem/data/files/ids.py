"""Hashed ids: what a run writes names images by a keyed hash, whose key stays on this machine."""

import ast
import csv
import hashlib
import hmac
import logging
import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from tandem.data.files.faults import FaultyDataError
from tandem.data.files.names import ending_of, nfc
from tandem.data.files.records import Record
from tandem.errors import ConfigError, DataError
from tandem.utils.files import write_whole

log = logging.getLogger(__name__)

KEY = "TANDEM_IDS_KEY"
"""Environment variable with the path of the file of the key, for several machines that should agree."""

DIGITS = 16
"""Hexadecimal digits of a hashed id: two of a million ids agree with a probability of 3e-8."""

QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")


@dataclass
class Ids:
    """How images and groups are named in splits, tables, pages, logs and trackers.

    A hash is HMAC-SHA-256 of the id, so that nobody without the key can find out an id by trying all numbers of
    patients. Equal ids have equal hashes, in all runs with the key.

    Attributes:
        hashed: whether ids are hashed; if not, nothing here changes a name.
        seen: what was hashed, by its hash.
    """

    hashed: bool = False
    seen: dict[str, str] = field(default_factory=dict)

    def of(self, name: str) -> str:
        """The hash of an id or group; the name itself if ids are not hashed, or if it is empty."""
        if not self.hashed or not name:
            return name
        text = nfc(name)
        found = hmac.new(_key(), text.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()[:DIGITS]
        if self.seen.setdefault(found, text) != text:
            raise DataError(f"two ids have the hash {found}: set data.ids=plain, or another key ({KEY})")
        return found

    def records(self, records: Sequence[Record]) -> tuple[Record, ...]:
        """Records that are named by their hashes."""
        if not self.hashed:
            return tuple(records)
        return tuple(replace(one, id=self.of(one.id), group=self.of(one.group), hidden=True) for one in records)

    @contextmanager
    def concealing(self, root: Path, owners: Mapping[str, str]) -> Iterator[None]:
        """Replaces names of images in the errors that are raised inside.

        Args:
            root: the folder of the data set.
            owners: see `conceal`.
        """
        try:
            yield
        except DataError as error:
            if self.hashed:
                error.args = (self.conceal(str(error), root, owners),)
                if isinstance(error, FaultyDataError):
                    error.faults = tuple(self.conceal(fault, root, owners) for fault in error.faults)
            raise

    def conceal(self, line: str, root: Path, owners: Mapping[str, str]) -> str:
        """A message in which the quoted ids and paths of images are replaced by hashes.

        Args:
            line: the message.
            root: the folder of the data set; what lies below it counts as the path of an image.
            owners: ids by the paths and ids that stand for them.
        """

        def hidden(match: re.Match[str]) -> str:
            text = str(ast.literal_eval(match[0]))
            if text in owners:
                return repr(self.of(owners[text]))
            if text.startswith(f"{root}{os.sep}") and ending_of(text) not in (".csv", ".parquet", ".pq", ".json"):
                name = text.removeprefix(f"{root}{os.sep}")
                return repr(self.of(name[: len(name) - len(ending_of(name))]))
            return match[0]

        return QUOTED.sub(hidden, line) if self.hashed else line

    def keep(self, name: str) -> None:
        """Writes the table of hashes and ids beside the key, readable by this user only, and logs where it is.

        Args:
            name: name of the data set.
        """
        if not self.seen:
            return
        digest = hashlib.sha256("\n".join(sorted(self.seen)).encode()).hexdigest()[:8]
        path = _place().parent / "ids" / f"{name}-{digest}.csv"
        rows = sorted(self.seen.items(), key=lambda pair: pair[1])
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_whole(
                path, lambda file: file.write(_csv([("hash", "name"), *rows]).encode("utf-8", "surrogateescape"))
            )
            path.chmod(0o600)
        log.info("data %s: ids are hashed; %s on this machine says which image each is", name, path)


def read_ids(given: str) -> Ids:
    """Reads the option `data.ids`.

    Raises:
        ConfigError: it is neither `plain` nor `hashed`.
    """
    if given not in ("plain", "hashed"):
        raise ConfigError(f"data.ids is {given!r}, but must be plain or hashed")
    return Ids(given == "hashed")


def owners_of(records: Sequence[Record]) -> dict[str, str]:
    """The id of each image, by its id and by the paths of its files."""
    found = {record.id: record.id for record in records}
    return found | {str(path): record.id for record in records for path in record.files}


def _place() -> Path:
    return Path(os.environ.get(KEY) or "~/.config/tandem/ids.key").expanduser()


_keys: dict[Path, bytes] = {}


def _key() -> bytes:
    """The key; it is made when it is first needed."""
    place = _place()
    if place not in _keys:
        try:
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                    file.write(f"{secrets.token_hex(32)}\n")
            except FileExistsError:
                pass
            text = place.read_bytes().strip()
        except OSError as error:
            raise ConfigError(
                f"{place} cannot be used ({error.strerror}): data.ids=hashed keeps its key there; set {KEY} to another "
                "file"
            ) from error
        if len(text) < DIGITS:
            raise ConfigError(f"{place} is too short for a key: remove it, or set {KEY} to another file")
        _keys[place] = text
    return _keys[place]


def _csv(rows: Sequence[Sequence[str]]) -> str:
    import io

    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()

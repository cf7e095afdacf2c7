"""Which files a command wrote: only those may it replace when it is called again.

The marker `.tandem_files.json` beside the files has the SHA-256 of each file, by command. A file that has no entry
there, or that was changed since, belongs to someone else and stays, unless the person says `overwrite=true`. A marker,
and no check of the files' own headers, since tables and images have none.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tandem.errors import ConfigError
from tandem.utils.atomic import before_replacing
from tandem.utils.files import read_json, sha256, write_json
from tandem.utils.outputs import check_folder
from tandem.utils.turns import taking_turns

MARKER = ".tandem_files.json"


class WrittenFiles:
    """The files that a command wrote into a folder, in this call and in earlier ones.

    Args:
        folder: that holds them.
        command: name of the command.
        overwrite: whether files of others may be replaced.
        allow: how a person says so.
    """

    def __init__(self, folder: Path, command: str, overwrite: bool, allow: str = "overwrite=true") -> None:
        self.folder, self.command, self.overwrite, self.allow = folder, command, overwrite, allow

    def check(self, path: Path) -> None:
        """Refuses to replace a file of someone else.

        Raises:
            ConfigError: it exists, and this command did not write it as it is.
        """
        name = self._name(path)
        if name is None or self.overwrite or not path.exists():
            return
        if not path.is_file() or sha256(path) not in self._known().get(name, []):
            raise ConfigError(
                f"{path} exists and was not written by this command, or was changed since; remove it, choose another "
                f"folder, or add {self.allow}"
            )

    def remove(self, path: Path) -> None:
        """Removes a file of an earlier call; one of someone else stays."""
        with suppress(ConfigError):
            self.check(path)
            path.unlink(missing_ok=True)

    def replacing(self, path: Path, temporary: Path) -> None:
        """Checks a file that is about to be replaced, and notes what it becomes."""
        name = self._name(path)
        if name is None or path.name == MARKER:
            return
        self.check(path)
        marker = self.folder / MARKER
        known = self._known()
        # the old one too, until the new one is there: a crash in between leaves a file that is known
        now = [sha256(path)] if path.is_file() else []
        noted = _read(marker) | {self.command: {**known, name: [*now, sha256(temporary)]}}
        write_json(marker, noted)

    def _name(self, path: Path) -> str | None:
        place, folder = path.parent.resolve() / path.name, self.folder.resolve()
        return place.relative_to(folder).as_posix() if place.is_relative_to(folder) else None

    def _known(self) -> dict[str, list[str]]:
        known = _read(self.folder / MARKER).get(self.command)
        return known if isinstance(known, dict) else {}


@contextmanager
def writing(
    folder: Path, command: str, overwrite: bool, *first: str, allow: str = "overwrite=true"
) -> Iterator[WrittenFiles]:
    """Inside, what is written into a folder replaces only what the same command wrote there.

    A second command that writes into the folder waits until the first one has ended.

    Args:
        folder: of the files.
        command: name of the command.
        overwrite: whether files of others may be replaced.
        first: names that are checked at once, before the work is done.
        allow: how a person says that they may.

    Raises:
        ConfigError: a file that is not the command's own would be replaced.
    """
    files = WrittenFiles(folder, command, overwrite, allow)
    with taking_turns(check_folder(folder)):
        for name in first:
            files.check(folder / name)
        before_replacing.append(files.replacing)
        try:
            yield files
        finally:
            before_replacing.remove(files.replacing)


def written_by(folder: Path) -> dict[str, list[str]]:
    """Names of the files in a folder that commands of tandem wrote, by command; empty where none did."""
    return {str(command): list(files) for command, files in _read(folder / MARKER).items() if isinstance(files, dict)}


def _read(marker: Path) -> dict[str, dict[str, list[str]]]:
    try:
        found = read_json(marker)
    except (OSError, ValueError):  # none yet, or not one of ours: then nothing is known to be the command's own
        return {}
    return found if isinstance(found, dict) else {}

"""The command `doctor`: prints the report, section by section, as it is found."""

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tandem.config.resolve import check_runs
from tandem.doctor.data import data
from tandem.doctor.machine import devices, folders
from tandem.doctor.packages import extras, versions
from tandem.doctor.section import Section, faults, render
from tandem.errors import TandemError
from tandem.utils.lazy_imports import load_libraries

log = logging.getLogger(__name__)


class MachineError(TandemError):
    """Something that tandem needs does not work here."""


def main() -> None:
    """The command of `scripts/doctor.py`."""
    from tandem.cli import run_tool

    run_tool(doctor_job, "doctor")


def doctor_job(config: Mapping[str, Any]) -> None:
    """Logs the report, and writes it to a file if one is given.

    Args:
        config: the resolved configuration of `conf/doctor.yaml`.

    Raises:
        MachineError: something marked with `!` does not work.
        ConfigError: the file exists, and this command did not write it.
    """
    from tandem.utils.files import write_text
    from tandem.utils.written import writing

    check_runs(config["runs"])
    load_libraries()
    found = []
    for section in sections(config):
        log.info("%s", render(section))
        found.append(section)
    if config["out"] is not None:
        file = Path(config["out"]).expanduser()
        with writing(file.parent, "doctor", config["overwrite"]):
            write_text(file, "\n".join(render(section) for section in found) + "\n")
        log.info("%s", file)
    if count := faults(found):
        raise MachineError(
            f"{count} {'line' if count == 1 else 'lines'} above marked with ! need{'s' * (count == 1)} a fix"
        )


def sections(config: Mapping[str, Any]) -> Iterator[Section]:
    """Yields the sections of the report, the slow ones last.

    Args:
        config: the resolved configuration of `conf/doctor.yaml`.
    """
    looks: tuple[Callable[[], Section], ...] = (
        versions, extras, devices, lambda: folders(Path(config["runs"]).expanduser()),
    )  # fmt: skip
    for look in looks:
        yield look()
    if config["data"]:
        yield data(config["data"])
    if config["self_test"]:
        from tandem.doctor.self_test import self_test

        with tempfile.TemporaryDirectory(prefix="tandem-doctor-") as folder:
            yield self_test(Path(folder))

"""Records where a run's numbers come from: data, splits, versions and code."""

import logging
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tandem.errors import DataError
from tandem.utils.artifacts import DATA, FAULTS, SPLITS_FILE
from tandem.utils.digests import read_artifact
from tandem.utils.files import write_json, write_text
from tandem.utils.machine import processor

if TYPE_CHECKING:
    from tandem.data.datamodule import DataModule

log = logging.getLogger(__name__)

PACKAGES = (
    "tandem-mtl", "torch", "torchvision", "pytorch-lightning", "torchmetrics", "timm", "segmentation-models-pytorch",
    "hydra-core", "omegaconf", "numpy", "scikit-learn", "pillow",
)  # fmt: skip
"""Packages whose version can change the results."""


WAYS_OUT = "give the new run another name=..., or train this one again with on_changed_data=retrain"
"""What to do about a run of other data."""

SKIPPED = "skipped.txt"
"""Every fault of skipped rows, a line each."""


def read_data(data: "DataModule", folder: Path) -> None:
    """Reads the data and writes all faults found in them into a run's folder.

    Args:
        data: before `setup`.
        folder: the run's folder.

    Raises:
        DataError: the data cannot be used; if there are several faults, it names the file that lists them.
    """
    from tandem.data.files.faults import FaultyDataError
    from tandem.distributed.gather import get_rank

    (folder / FAULTS).unlink(missing_ok=True)  # of an earlier start
    try:
        data.setup()
    except FaultyDataError as error:
        if len(error.faults) < 2:
            raise
        write_text(folder / FAULTS, "\n".join(error.faults) + "\n")
        raise DataError(f"{error};\n  all of them: {folder / FAULTS}") from error
    if data.skipped and get_rank() == 0:
        write_text(folder / SKIPPED, "\n".join(data.skipped) + "\n")
        log.warning(
            "data %s: %d faults were skipped, the first: %s (all of them: %s)",
            data.info.name, len(data.skipped), data.skipped[0], folder / SKIPPED,
        )  # fmt: skip


def keep_data(data: "DataModule", folder: Path) -> dict[str, str]:
    """Writes the splits and the data's fingerprint into a run's folder, or compares with those already in it.

    Args:
        data: after `setup`.
        folder: the run's folder.

    Returns:
        The fingerprint.

    Raises:
        DataError: the data have changed since the run began.
    """
    from tandem.data.splitting.splits import write_splits
    from tandem.data.unchanged import keep_inventory, read_inventory, what_changed

    now, files = data.fingerprint(), data.inventory()
    kept = folder / DATA
    if kept.exists():
        before = read_artifact(kept)["fingerprint"]
        if changed := sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key)):
            raise DataError(
                f"data '{data.info.name}' changed since this run began "
                f"({what_changed(changed, read_inventory(folder)[0], files)}); {WAYS_OUT}"
            )
        keep_inventory(files, folder)
        if not (folder / SPLITS_FILE).is_file():  # lost or damaged
            write_splits(folder / SPLITS_FILE, data.splits, data.info.classes)
        return now
    write_splits(folder / SPLITS_FILE, data.splits, data.info.classes)
    describe_data(data, now, folder)
    keep_inventory(files, folder)
    return now


def describe_data(data: "DataModule", fingerprint: Mapping[str, str], folder: Path) -> None:
    """Writes `data.json` into a run's folder.

    Args:
        data: after `setup`.
        fingerprint: of the data as the run knows it.
        folder: the run's folder.
    """
    rows = {split: len(samples) for split, samples in data.splits.items()}
    known = {"name": data.info.name, "info": asdict(data.info), "rows": rows, "fingerprint": fingerprint}
    write_json(folder / DATA, {**known, **data.notes})


def environment() -> dict[str, Any]:
    """Returns package versions, device, processor, threads, platform and the git state of the code.

    The processor is given with the vector instructions that torch uses: both decide how numbers are rounded.
    """
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or platform.machine()
    return {
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "device": device,
        "processor": f"{processor()}, {torch.backends.cpu.get_cpu_capability()}",
        "threads": torch.get_num_threads(),
        "platform": platform.platform(),
        "git": git_state(Path(__file__).parent),
    }


def git_state(folder: Path) -> dict[str, Any] | None:
    """Returns the commit and whether there are uncommitted changes; None if the code is not in a git checkout."""

    def git(*command: str) -> str | None:  # nested, so that no configuration can name it: git can execute commands
        try:
            done = subprocess.run(  # noqa: S603 (fixed arguments, no shell)
                ["git", "-C", str(folder), *command],  # noqa: S607 (git from the user's PATH is intended)
                capture_output=True,
                text=True,
                timeout=10,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    commit = git("rev-parse", "HEAD")
    if commit is None or not git("ls-files", "."):  # an installed package may be inside another project's checkout
        return None
    return {"commit": commit, "changed": bool(git("status", "--porcelain"))}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None

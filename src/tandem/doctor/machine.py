"""Devices, threads, memory, and the folders that tandem writes to."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tandem.doctor.section import Line, Section
from tandem.utils.locks import NoLocks, take
from tandem.utils.machine import processor, usable_cores

LITTLE_DISK = 1e9
"""Bytes below which a disk is nearly full: a run of a large network and its two checkpoints."""

LITTLE_MEMORY = 1e9
"""Bytes below which training is likely to be killed by the system."""

VARIABLES = (
    *("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "HF_HUB_OFFLINE", "TMPDIR"),
    *("TANDEM_ALLOW", "TANDEM_CACHE", "TANDEM_DATA", "TANDEM_LOCAL"),
)
"""Environment variables that change what tandem does. None of them is a secret."""


def devices() -> Section:
    """Returns what torch can compute on, with threads and memory."""
    import torch

    from tandem.data.loading.storage import free_memory

    free = free_memory()
    lines = [
        Line("processor", f"{processor()}, {os.cpu_count()} cores, {usable_cores()} usable"),
        Line("threads", f"{torch.get_num_threads()} of torch"),
        Line(
            "memory",
            f"{free / 1e9:.1f} GB free",
            "close other programs, or lower loader.batch_size" if free < LITTLE_MEMORY else "",
        ),
        *_accelerators(),
        *(Line(name, os.environ[name]) for name in VARIABLES if name in os.environ),
    ]
    return Section("machine", lines)


def folders(runs: Path) -> Section:
    """Returns the disks of the folders that tandem writes to.

    Args:
        runs: the folder of runs, which may not exist yet.
    """
    from tandem.data.files.cache import cache_folder

    places = {"runs": runs.absolute(), "cache": cache_folder(None), "temporary": Path(tempfile.gettempdir())}
    return Section("folders", [_folder(name, place) for name, place in places.items()])


def _accelerators() -> Iterator[Line]:
    import torch

    if torch.version.cuda and not torch.cuda.is_available():
        yield Line("CUDA", f"torch was built for CUDA {torch.version.cuda}, and finds no device")
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        yield Line(f"cuda:{index}", f"{name}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free, CUDA {torch.version.cuda}")
    if torch.backends.mps.is_available():
        yield Line("mps", "available")


def _folder(name: str, place: Path) -> Line:
    there = next(folder for folder in (place, *place.parents) if folder.exists())
    found = f"{place}, {shutil.disk_usage(there).free / 1e9:.1f} GB free"
    if not there.is_dir():
        return Line(name, found, f"{there} is a file; choose another folder")
    try:
        with tempfile.NamedTemporaryFile(dir=there, prefix=".tandem-doctor-") as file:
            fault = _lock_fault(file.fileno())
    except OSError as error:
        return Line(name, found, f"{there} cannot be written ({error.strerror}); choose another folder")
    if not fault and shutil.disk_usage(there).free < LITTLE_DISK:
        fault = "the disk is nearly full"
    return Line(name, found, fault)


def _lock_fault(file: int) -> str:
    try:
        take(file)
    except NoLocks as error:
        return f"its file system has no locks ({error.strerror}), so never start the same run twice"
    return ""

"""What the machine has, as far as a plan depends on it."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

WEIGHTS = "TANDEM_WEIGHTS"
"""Environment variable with a local file of pretrained weights, as in the shipped experiments."""


@dataclass(frozen=True)
class Machine:
    """What the machine has.

    Attributes:
        cores: that this process may use.
        memory: free bytes.
        gpu: name of the first GPU; empty without one.
        gpu_memory: its free bytes; 0 without one.
        weights: name of the file of pretrained weights in `TANDEM_WEIGHTS`; empty if there is none.
        disk: free bytes where runs go.
    """

    cores: int = 1
    memory: float = 4e9
    gpu: str = ""
    gpu_memory: float = 0.0
    weights: str = ""
    disk: float = 1e12


def this_machine(runs: Path) -> Machine:
    """Looks at this machine.

    Args:
        runs: folder of runs, which may not exist yet.
    """
    import torch

    from tandem.data.loading.storage import free_memory
    from tandem.utils.machine import usable_cores

    place = runs.absolute()
    there = next(folder for folder in (place, *place.parents) if folder.is_dir())
    file = Path(os.environ.get(WEIGHTS, "")).expanduser()
    gpu, free = "", 0.0
    if torch.cuda.is_available():
        gpu, free = torch.cuda.get_device_name(0), float(torch.cuda.mem_get_info(0)[0])
    return Machine(
        cores=min(usable_cores(), torch.get_num_threads()),
        memory=float(free_memory()),
        gpu=gpu,
        gpu_memory=free,
        weights=file.name if os.environ.get(WEIGHTS) and file.is_file() else "",
        disk=float(shutil.disk_usage(there).free),
    )

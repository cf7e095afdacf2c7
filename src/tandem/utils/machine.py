"""What this machine has; None where the system does not say."""

import os
import platform
from pathlib import Path

SHARED = "TANDEM_SHARED_MACHINE"
"""Environment variable; 1 where several processes work side by side on one machine: jobs of a sweep, ranks of a run."""


def shares_machine() -> bool:
    """Whether other processes of the same work run on this machine, so that memory is better shared than copied."""
    return os.environ.get(SHARED) == "1"


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def total_memory() -> int | None:
    """Bytes of memory; None on Windows, which has no `sysconf`."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else None


def processor() -> str:
    """Name of the processor; its architecture where the system does not tell the name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def native_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself; without that, torch converts each number, which takes longer.

    oneDNN's own question is true for every processor with AVX-512, since it converts there; so for x86 the
    instructions are asked for, and oneDNN only on other architectures.
    """
    import torch

    known = torch.cpu.get_capabilities()
    if known.get("architecture") == "x86_64":
        return bool(known.get("avx512_bf16") or known.get("amx_bf16"))
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())

"""Imports the large libraries with garbage collection paused."""

import atexit
import gc
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import PackageNotFoundError

LIBRARIES = ("pytorch_lightning", "timm", "matplotlib.figure")
"""What training, evaluation and prediction always import; the first one imports torch."""


def load_libraries() -> None:
    """Imports the large libraries; commands call it after all checks that do not need them.

    The libraries create half a million objects, and Python's garbage collector scans all of them each time their number
    has grown by a quarter: this takes a fourth of the import time, and a third of a second every few hundred steps
    afterwards. So garbage collection is paused during the import, then these objects are frozen. They are unfrozen
    before the process ends, since some libraries report an error if their objects outlive it.

    Does nothing if the first library is already imported or garbage collection is disabled.
    """
    if LIBRARIES[0] in sys.modules or not gc.isenabled():
        return
    with collection_paused(), without_transformers(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")  # tqdm, in notebooks without ipywidgets
        for name in LIBRARIES:
            import_module(name)
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)


@contextmanager
def without_transformers() -> Iterator[None]:
    """Inside, torchmetrics does not find `transformers`, which it would import for its metrics of text alone.

    That takes more than a second wherever the package is installed, as with the extra `lora`.
    """
    from lightning_utilities.core import imports

    names = vars(imports)
    found = names["_version"]

    def version(name: str) -> str:
        if name == "transformers":
            raise PackageNotFoundError(name)
        return str(found(name))

    names["_version"] = version
    try:
        yield
    finally:
        names["_version"] = found


@contextmanager
def collection_paused() -> Iterator[None]:
    """Inside, garbage is not collected, for imports and readers that make many objects and drop none."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()

"""Imports the large libraries with garbage collection paused."""

import atexit
import gc
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import PackageNotFoundError

LIBRARIES = ("pytorch_lightning", "timm", "matplotlib.figure")
"""What training, evaluation and prediction always import; the first one imports torch."""

OWN_SCRIPTS = {"timm": ("wandb",)}
"""Packages that a library imports, if they are installed, for training scripts of its own alone."""


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
    with collection_paused(), without_unused(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")  # tqdm, in notebooks without ipywidgets
        for name in LIBRARIES:
            with without(OWN_SCRIPTS.get(name, ())):
                import_module(name)
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)


@contextmanager
def without_unused() -> Iterator[None]:
    """Inside, torchmetrics finds neither `transformers` nor `scipy`.

    It would import `transformers` for its metrics of text alone, which takes more than a second wherever the package is
    installed, as with the extra `lora`. It would import `scipy.signal` to give a function the name that it had in old
    versions, for a metric of speech, which takes a seventh of the time of all imports. Metrics that compute with scipy
    look for it when they are used, and find it.
    """
    from lightning_utilities.core import imports

    names, inside = vars(imports), True
    version_of, is_there = names["_version"], names["package_available"]

    def version(name: str) -> str:
        if name in ("transformers", "scipy"):
            raise PackageNotFoundError(name)
        return str(version_of(name))

    def package_available(name: str) -> bool:  # modules that are imported inside keep it
        return bool(is_there(name)) and not (inside and name == "scipy")

    names.update(_version=version, package_available=package_available)
    try:
        yield
    finally:
        inside = False
        names.update(_version=version_of, package_available=is_there)
        imports.module_available.cache_clear()  # which may remember that scipy is not there


@contextmanager
def without(packages: Iterable[str]) -> Iterator[None]:
    """Inside, packages that are not imported yet cannot be imported."""
    hidden = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None halts an import
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


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

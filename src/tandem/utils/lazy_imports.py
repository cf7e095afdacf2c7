"""Imports the large libraries with garbage collection paused."""

import atexit
import gc
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module, reload
from importlib.metadata import PackageNotFoundError

LIBRARIES = ("pytorch_lightning", "timm")
"""What training, evaluation and prediction always import; the first one imports torch. matplotlib is imported with the
first figure, after steps have begun."""

OWN_SCRIPTS = {"timm": ("wandb",), "torch.utils.tensorboard": ("botocore", "boto3")}
"""Packages that a library imports, if they are installed, for what is not used here alone: timm for training scripts of
its own, TensorBoard for files in the cloud, which takes half the time of its import."""

UNUSED = ("transformers", "scipy", "matplotlib")
"""What torchmetrics imports for parts that are not used here."""

ASKED = "_error_on_missing_matplotlib"
"""The function of torchmetrics that each of its figures calls first."""


def load_libraries() -> None:
    """Imports the large libraries; commands call it after all checks that do not need them.

    The libraries create nearly a million objects, and Python's garbage collector scans all of them each time their
    number has grown by a quarter: this takes a fourth of the import time, and a third of a second every few hundred
    steps afterwards. So garbage collection is paused during the import, then these objects are frozen. They are frozen
    before collection goes on, and without a last pass, since each pass over them takes half a second and 98 % of them
    are in use. They are unfrozen before the process ends, since some libraries report an error if their objects outlive
    it.

    Does nothing if the first library is already imported or garbage collection is disabled.
    """
    if LIBRARIES[0] in sys.modules or not gc.isenabled():
        return
    with collection_paused(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")  # tqdm, in notebooks without ipywidgets
        with without_unused():
            for name in LIBRARIES:
                load(name)
        plots_when_asked()
        gc.freeze()
    atexit.register(gc.unfreeze)


def load(name: str) -> None:
    """Imports a library without the packages that it imports for what is not used here."""
    with without(OWN_SCRIPTS.get(name, ())):
        import_module(name)


@contextmanager
def without_unused() -> Iterator[None]:
    """Inside, torchmetrics finds neither `transformers` nor `scipy` nor `matplotlib`.

    It would import `transformers` for its metrics of text alone, which takes more than a second wherever the package is
    installed, as with the extra `lora`. It would import `scipy.signal` to give a function the name that it had in old
    versions, for a metric of speech, which takes a seventh of the time of all imports. Metrics that compute with scipy
    look for it when they are used, and find it. It would import `matplotlib.pyplot` for figures of its own, which takes
    a tenth of that time; see `plots_when_asked`.
    """
    from lightning_utilities.core import imports

    names, inside = vars(imports), True
    version_of, is_there = names["_version"], names["package_available"]

    def version(name: str) -> str:
        if name in UNUSED:
            raise PackageNotFoundError(name)
        return str(version_of(name))

    def package_available(name: str) -> bool:  # modules that are imported inside keep it
        return bool(is_there(name)) and not (inside and name in UNUSED)

    names.update(_version=version, package_available=package_available)
    try:
        yield
    finally:
        inside = False
        names.update(_version=version_of, package_available=is_there)
        imports.module_available.cache_clear()  # which may remember that scipy is not there


def plots_when_asked() -> None:
    """Lets torchmetrics, imported without matplotlib, find it when somebody calls a metric's `plot`.

    Its figures ask a function of one module first. That is imported again then, and works for those who have taken
    functions of it, too, as these look up names in the module. Does nothing if a newer torchmetrics has no such
    function.
    """
    from lightning_utilities.core.imports import RequirementCache
    from torchmetrics.utilities import imports, plot

    def ask() -> None:
        vars(imports)["_MATPLOTLIB_AVAILABLE"] = RequirementCache("matplotlib")
        reload(plot)
        vars(plot)[ASKED]()

    if ASKED in vars(plot) and not hasattr(plot, "plt"):
        setattr(plot, ASKED, ask)


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

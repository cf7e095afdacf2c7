"""The large libraries, imported without looking for garbage in them."""

import atexit
import gc
import sys
from importlib import import_module

LIBRARIES = ("pytorch_lightning", "timm", "matplotlib.figure")
"""What training, evaluation and prediction import in any case; torch comes with the first."""


def load_libraries() -> None:
    """Imports them; for a command, after what can be checked without them.

    They leave half a million objects, all of which Python's collector looks through whenever there are a quarter more:
    a fourth of the time of the import itself, and a third of a second every few hundred steps afterwards. So it rests
    here, and is then told that what is there will stay. That is taken back before the process ends, since some
    libraries complain where their objects outlive it.

    Does nothing where the first is there already, or the collector was switched off by somebody else.
    """
    if LIBRARIES[0] in sys.modules or not gc.isenabled():
        return
    gc.disable()
    try:
        for name in LIBRARIES:
            import_module(name)
    finally:
        gc.enable()
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)

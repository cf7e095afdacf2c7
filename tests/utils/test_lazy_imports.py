"""How libraries are imported: tested in a separate process, since this one has imported them."""

import gc
import json
import subprocess
import sys
from typing import Any

import pytest
from lightning_utilities.core.imports import RequirementCache

from tandem.utils.lazy_imports import LIBRARIES, collection_paused, load_libraries, without_transformers

LOOK = """
import gc, json, sys
before = {before}
passes = []
gc.callbacks.append(lambda phase, info: passes.append(phase == "start" and "torch" in sys.modules))
from tandem.utils.lazy_imports import LIBRARIES, load_libraries
load_libraries()
known = [name in sys.modules for name in (*LIBRARIES, "torch")] + ["transformers" not in sys.modules]
frozen = gc.get_freeze_count()
load_libraries()
print(json.dumps([known, sum(passes), frozen, gc.get_freeze_count(), gc.isenabled()]))
"""


def seen(before: str) -> tuple[list[Any], str]:
    """State of the garbage collector in a new process, and its stderr."""
    done = subprocess.run(
        [sys.executable, "-c", LOOK.format(before=before)], capture_output=True, text=True, check=True, timeout=300
    )
    found: list[Any] = json.loads(done.stdout)
    return found, done.stderr


@pytest.mark.full
def test_garbage_collection_is_paused_during_the_import_and_objects_are_frozen() -> None:
    (known, passes, frozen, again, enabled), errors = seen("None")
    assert known == [True] * (len(LIBRARIES) + 2)
    assert passes <= 2, "one for what the import has left over, and one that may have been due"
    assert frozen > 100_000
    assert again == frozen
    assert enabled
    assert errors == "", "no library complains of what outlives the process"


def test_disabled_garbage_collection_stays_disabled() -> None:
    (known, _, frozen, _, enabled), _ = seen("gc.disable()")
    assert (known, frozen, enabled) == ([False] * (len(LIBRARIES) + 1) + [True], 0, False)


def test_only_transformers_is_not_found() -> None:
    before = bool(RequirementCache("transformers"))
    with without_transformers():
        assert not RequirementCache("transformers>=4.4.0")
        assert RequirementCache("torch>=2.0")
    assert bool(RequirementCache("transformers")) == before


def test_nothing_happens_if_the_libraries_are_imported() -> None:
    frozen = gc.get_freeze_count()
    load_libraries()
    assert gc.get_freeze_count() == frozen


@pytest.mark.parametrize("words", [["--help"], ["--help", "performance=auto"], ["--cfg", "job"]])
def test_what_only_prints_imports_no_large_library(words: list[str]) -> None:
    code = f"import sys; sys.argv = ['tandem-train', *{words!r}]; import atexit; from tandem.train.run import main; "
    code += "look = lambda: sys.stderr.write(str(sorted({'torch', 'torchvision', 'timm', 'pytorch_lightning', "
    code += "'matplotlib'} & set(sys.modules)))); atexit.register(look); main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "[]")
    assert done.stdout.strip()


@pytest.mark.parametrize("enabled", [True, False])
def test_collection_is_paused_and_then_as_before(enabled: bool) -> None:
    was = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        with collection_paused():
            assert not gc.isenabled()
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if was else gc.disable)()

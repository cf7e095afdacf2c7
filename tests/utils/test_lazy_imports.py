"""How libraries are imported: tested in a separate process, since this one has imported them."""

import gc
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lightning_utilities.core import imports
from lightning_utilities.core.imports import RequirementCache

from tandem.utils.lazy_imports import LIBRARIES, collection_paused, load_libraries, without, without_unused

LOOK = """
import gc, json, sys
before = {before}
passes = []
gc.callbacks.append(lambda phase, info: passes.append(phase == "start" and "torch" in sys.modules))
from tandem.utils.lazy_imports import LIBRARIES, load_libraries
load_libraries()
known = [name in sys.modules for name in (*LIBRARIES, "torch")]
known += [name not in sys.modules for name in ("transformers", "wandb", "scipy.signal", "matplotlib")]
frozen, over = gc.get_freeze_count(), sum(passes)
load_libraries()
print(json.dumps([known, over, frozen, gc.get_freeze_count(), gc.isenabled()]))
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
    assert known == [True] * (len(LIBRARIES) + 5)
    assert passes == 0, "each takes half a second"
    assert frozen > 100_000
    assert again == frozen
    assert enabled
    assert errors == "", "no library complains of what outlives the process"


def test_disabled_garbage_collection_stays_disabled() -> None:
    (known, _, frozen, _, enabled), _ = seen("gc.disable()")
    assert (known, frozen, enabled) == ([False] * (len(LIBRARIES) + 1) + [True] * 4, 0, False)


PLOTS = """
import sys
from tandem.utils.lazy_imports import load_libraries
load_libraries()
import torch
from torchmetrics import classification
metrics = [getattr(classification, name)() for name in ("BinaryAccuracy", "BinaryConfusionMatrix", "BinaryROC")]
for metric in metrics:
    metric.update(torch.tensor([0.2, 0.8, 0.3]), torch.tensor([0, 1, 1]))
assert "matplotlib" not in sys.modules
print([type(metric.plot()[0]).__name__ for metric in metrics], "matplotlib.pyplot" in sys.modules)
"""


@pytest.mark.full
def test_metrics_draw_their_own_figures_when_asked() -> None:
    done = subprocess.run([sys.executable, "-c", PLOTS], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "['Figure', 'Figure', 'Figure'] True\n"), done.stderr


LOOK_AT_STEP = """
import sys
from pathlib import Path
import pytorch_lightning as pl
class Look(pl.Callback):
    def on_train_batch_end(self, *given):
        Path("seen.txt").write_text("\\n".join(sys.modules))
        raise KeyboardInterrupt
"""

LATER = ("matplotlib", "scipy", "pandas", "transformers", "boto3", "botocore", "wandb")
"""What the first step needs none of; some are installed with extras alone."""


@pytest.mark.full
def test_what_comes_later_is_not_imported_before_the_first_step(tmp_path: Path) -> None:
    (tmp_path / "look.py").write_text(LOOK_AT_STEP)
    words = ["-m", "tandem.train", "experiment=tiny", "+callbacks.look._target_=look.Look"]
    environment = {**os.environ, "TANDEM_ALLOW": "look", "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    subprocess.run([sys.executable, *words], cwd=tmp_path, env=environment, capture_output=True, timeout=300)
    seen = (tmp_path / "seen.txt").read_text().splitlines()
    assert "torch.utils.tensorboard" in seen
    assert set(LATER).isdisjoint(seen)


def test_only_what_is_unused_is_not_found() -> None:
    before = bool(RequirementCache("transformers"))
    with without_unused():
        assert not RequirementCache("transformers>=4.4.0")
        assert RequirementCache("torch>=2.0")
        assert not RequirementCache("scipy")
        kept = imports.package_available
        assert not RequirementCache("matplotlib")
        assert (kept("scipy"), kept("numpy"), kept("no_such_package")) == (False, True, False)
    assert bool(RequirementCache("transformers")) == before
    assert kept("scipy"), "of a module that was imported inside"
    assert imports.module_available("scipy")
    assert RequirementCache("scipy")
    assert RequirementCache("matplotlib")
    assert imports.package_available is not kept


def test_packages_are_hidden_for_a_while_and_those_in_use_stay() -> None:
    used = json
    sys.modules.pop("this", None)
    with without(["this", "json"]):
        with pytest.raises(ImportError):
            importlib.import_module("this")
        assert importlib.import_module("json") is used
    assert "this" not in sys.modules
    assert sys.modules["json"] is used


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

"""Nothing of a DICOM header but pixels and spacing is in what training, evaluation, prediction and audit leave."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.data.files.made import grey12
from tests.data.files.scans import PATIENT, dicom

import tandem.audit
import tandem.evaluate
import tandem.predict
import tandem.train

pytestmark = pytest.mark.full

OWNER = "mueller_hans"
"""What the files are named after."""


@pytest.mark.parametrize("ids", ["plain", "hashed"])
def test_no_file_and_no_line_names_the_patient(
    ids: str, tmp_path: Path, in_process: Callable[[Callable[[], None]], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TANDEM_IDS_KEY", str(tmp_path / "key" / "ids.key"))
    for seed in range(24):
        place = tmp_path / "data" / ("dark", "light")[seed % 2]
        tags: dict[str, Any] = {"BitsStored": 12, "PixelSpacing": [0.5, 0.25]}
        if seed == 5:
            tags["NumberOfFrames"] = 2
        dicom(place / f"{OWNER}{seed}.dcm", grey12(seed), **tags)
        mask = np.zeros((24, 24), "u1")
        mask[6:18, 6:18] = 255
        Image.fromarray(mask).save(place / f"{OWNER}{seed}_mask.png")
    data = ["data=folder", f"data.root={tmp_path}/data", "data.size=16", "data.cache=cache", f"data.ids={ids}"]
    data += ["data.on_error=skip", "data.near_duplicates=false"]
    small = ["experiment=tiny", "trainer.max_epochs=1", "logger=[csv,tensorboard]", "trainer.accelerator=cpu"]
    done = [in_process(tandem.train.main)(*small, *data)]
    (run,) = [path.parent for path in (tmp_path / "runs").rglob("results.json")]
    done.append(in_process(tandem.evaluate.main)(f"run={run}", "device=cpu", "samples=10"))
    done.append(in_process(tandem.audit.main)(*data))
    folders = [tmp_path / "runs", tmp_path / "cache"]
    lines = "".join(each.out + each.err for each in done)
    done.append(in_process(tandem.predict.main)(f"run={run}", "images=data", "out=predicted", "device=cpu"))
    assert [each.code for each in done] == [0] * 4, [each.err for each in done]
    assert (tmp_path / "predicted" / "failed.csv").read_text().count("has 2 frames") == 1
    written = [path for folder in (*folders, tmp_path / "predicted") for path in folder.rglob("*") if path.is_file()]
    assert len(written) > 20
    for secret in PATIENT.split("^"):
        assert not [path for path in written if secret.encode() in path.read_bytes()]
        assert secret not in lines + done[-1].out + done[-1].err
    named = [path for path in written if OWNER.encode() in path.read_bytes() or OWNER in path.name]
    of_run = [path for path in named if not path.is_relative_to(tmp_path / "predicted")]
    assert bool(of_run) == (ids == "plain"), of_run
    assert (OWNER in lines) == (ids == "plain")

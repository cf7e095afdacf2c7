"""Windows in prediction: the same as MONAI's over what the network sees, with flips, ensembles and classes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.inferers import sliding_window_inference
from PIL import Image
from tests.predict.conftest import blob

from tandem.data.files.placement import Placement
from tandem.errors import ConfigError
from tandem.predict.command import main
from tandem.predict.ensemble import Ensemble
from tandem.predict.predictor import load
from tandem.runs.inference import Inference
from tandem.runs.restore import restore

LARGE = {"size": 64}
"""Images of twice the training's size, so that windows of 32 pixels pass over them."""


@pytest.fixture
def image() -> np.ndarray:
    return blob(90, 70)


def expected(run: Path, image: np.ndarray, overlap: float) -> torch.Tensor:
    """Probabilities of the mask in the size of the image, with MONAI's windows."""
    inference = Inference(restore(run).module)
    seen = np.asarray(Image.fromarray(image).resize((64, 64), Image.Resampling.BILINEAR))
    where = inference.names.index("segmentation_probabilities")
    with torch.inference_mode():
        (maps,) = sliding_window_inference(
            torch.from_numpy(seen.copy())[None, None].float() / 255,
            (32, 32), 3, lambda tiles: inference(tiles)[where], overlap, mode="gaussian",
        )  # fmt: skip
    return Placement("squash", image.shape[0], image.shape[1], 64).to_file(maps)


@pytest.mark.parametrize(("windows", "overlap"), [("auto", 0.5), (0.25, 0.25), (0, 0.0)])
def test_masks_are_those_of_monai(run: Path, image: np.ndarray, windows: Any, overlap: float) -> None:
    (found,) = load(run, device="cpu", data=LARGE, windows=windows).predict(image)
    torch.testing.assert_close(
        torch.from_numpy(found["segmentation"].values), expected(run, image, overlap), atol=1e-5, rtol=0
    )


def test_classes_are_those_without_windows(run: Path, image: np.ndarray) -> None:
    images = [image, blob(40, 40), image[:, ::-1].copy()]
    plain, windowed = (load(run, device="cpu", data=LARGE, windows=one).predict(images) for one in ("none", "auto"))
    for one, other in zip(plain, windowed, strict=True):
        np.testing.assert_array_equal(one["classification"].values, other["classification"].values)
        assert not np.array_equal(one["segmentation"].values, other["segmentation"].values)


@pytest.mark.parametrize("flips", [False, True])
def test_one_window_changes_no_bit(run: Path, image: np.ndarray, flips: bool, caplog: Any) -> None:
    images = [image, blob(40, 40)]
    plain, windowed = (load(run, flips, "cpu", windows=one).predict(images) for one in ("none", "auto"))
    for one, other in zip(plain, windowed, strict=True):
        for task in ("classification", "segmentation"):
            np.testing.assert_array_equal(one[task].values, other[task].values)
    assert "windows change nothing: with data.fit=squash and images of 32 px" in caplog.text


def test_flips_and_ensembles_are_means(run: Path, other: Path, image: np.ndarray) -> None:
    def maps(runs: Any, flips: bool, given: np.ndarray) -> np.ndarray:
        (found,) = load(runs, flips, "cpu", LARGE, windows="auto").predict(given)
        return np.asarray(found["segmentation"].values)

    square = blob(64, 64)
    sides: list[tuple[int, ...]] = [(), (-1,), (-2,), (-2, -1)]
    turned = [np.flip(maps(run, False, np.flip(square, axes).copy()), axes) for axes in sides]
    np.testing.assert_allclose(maps(run, True, square), np.mean(turned, 0), atol=1e-5)
    both = maps([run, other], False, image)
    np.testing.assert_allclose(both, (maps(run, False, image) + maps(other, False, image)) / 2, atol=1e-5)


def test_windows_are_refused_without_masks(run: Path) -> None:
    restored = restore(run)
    del restored.module.tasks["segmentation"]
    with pytest.raises(ConfigError, match="windows are for answers about pixels, but these runs have none") as error:
        Ensemble([restored], overlap=0.5)
    assert "\n" not in str(error.value)


def test_the_command_notes_its_windows(run: Path, tmp_path: Path, in_process: Callable[..., Any]) -> None:
    images = tmp_path / "images"
    images.mkdir()
    Image.fromarray(blob(40, 60)).save(images / "a.png")
    words = [f"run={run}", f"images={images}", f"out={tmp_path / 'out'}", "data.size=64"]
    assert in_process(main)(*words, "windows=auto").code == 0
    (prediction,) = load(run, data=LARGE, windows=0.5).predict(images / "a.png")
    with Image.open(tmp_path / "out" / "masks" / "segmentation" / "a.png") as mask:
        np.testing.assert_array_equal(np.asarray(mask) > 0, prediction["segmentation"].mask[0] > 0)
    assert in_process(main)(*words, "windows=0.5").code == 0, "the same windows"
    again = in_process(main)(*words)
    assert again.code == 1
    assert "holds predictions with other settings" in again.err
    wrong = in_process(main)(*words, "windows=2")
    assert wrong.code == 1
    assert "windows is 2, but must be none, auto (0.5)" in wrong.err

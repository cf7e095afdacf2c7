"""The size of pixels: from files, a table or an option, scaled with the image, and kept to the batch."""

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.data.files.scans import dicom, nifti

from tandem.config.identity import run_hash
from tandem.data.datamodule import DataModule
from tandem.data.files.spacing import read_spacing, spacing_of
from tandem.data.folder import Folder
from tandem.data.samples import Samples
from tandem.errors import ConfigError, DataError

SIDE = 16


def folder(root: Path, *sizes: tuple[float, float] | None, shape: tuple[int, int] = (8, 24)) -> Path:
    """Two classes of DICOM images with these sizes of pixels, in turn."""
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 255, shape).astype("u1")
        size = sizes[number % len(sizes)]
        tags = {} if size is None else {"PixelSpacing": list(size)}
        dicom(root / "ab"[number % 2] / f"{number:02}.dcm", pixels, **tags)
    return root


def load(root: Path, **options: Any) -> dict[str, Samples]:
    return Folder(
        str(root), size=SIDE, cache=str(root.parent / "cache"), **{"masks": None, "near_duplicates": False, **options}
    ).load()


def test_the_size_of_a_pixel_grows_with_the_square_for_each_axis_and_image(tmp_path: Path) -> None:
    splits = load(folder(tmp_path / "d", (0.5, 0.25), (0.2, 0.1)))
    for samples in splits.values():
        first = torch.tensor([[0.5 * 8 / SIDE, 0.25 * 24 / SIDE], [0.2 * 8 / SIDE, 0.1 * 24 / SIDE]])
        wanted = first[torch.tensor([int(name[-2:]) % 2 for name in samples.ids])]
        torch.testing.assert_close(samples.spacing, wanted)
        torch.testing.assert_close(samples.take([0])["spacing"], wanted[:1])
    again = load(tmp_path / "d")  # from the cache
    torch.testing.assert_close(again["train"].spacing, splits["train"].spacing)
    streamed = load(tmp_path / "d", memory_gb=0)
    torch.testing.assert_close(streamed["train"].spacing, splits["train"].spacing)


def test_an_option_replaces_what_files_state(tmp_path: Path) -> None:
    root = folder(tmp_path / "d", (0.5, 0.25), None)
    given = load(root, spacing=[0.1, 0.2])["train"].spacing
    torch.testing.assert_close(given, torch.tensor([[0.05, 0.3]]).expand(len(given), 2))  # type: ignore[arg-type]
    assert load(root, spacing="none")["train"].spacing is None
    assert load(folder(tmp_path / "e", None))["train"].spacing is None


def test_a_mixture_is_a_warning_that_names_the_fix(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = load(folder(tmp_path / "d", (0.5, 0.25), None))["train"].spacing
    assert found is not None
    assert 0 < int(found.isnan().any(1).sum()) < len(found)
    (line,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "known for 6 of 12 images (the first without: " in line.getMessage()
    assert "set data.spacing=[height,width] in mm, or data.spacing=none" in line.getMessage()


def test_a_table_states_sizes(tmp_path: Path) -> None:
    root = folder(tmp_path / "d", None)
    rows = [f"{'ab'[n % 2]}/{n:02}.dcm,{'ab'[n % 2]},{0.1 * (n + 1)},0.5" for n in range(12)]
    (root / "t.csv").write_text("\n".join(["image,label,h,w", *rows]))
    columns = {"image": "image", "label": "label", "masks": None, "spacing": ["h", "w"]}
    samples = load(root, table="t.csv", columns=columns)["train"]
    wanted = [[0.1 * (int(name[-2:]) + 1) * 8 / SIDE, 0.5 * 24 / SIDE] for name in samples.ids]
    torch.testing.assert_close(samples.spacing, torch.tensor(wanted))
    (root / "t.csv").write_text("\n".join(["image,label,h,w", "a/00.dcm,a,-1,3"]))
    with pytest.raises(DataError, match=r"h is '-1', w is '3': use the size of a pixel in mm"):
        load(root, table="t.csv", columns=columns)


def test_one_known_split_sets_the_unit_of_all(tmp_path: Path) -> None:
    root = folder(tmp_path / "d", (0.5, 0.25))
    source = Folder(str(root), size=SIDE, masks=None, cache=str(tmp_path / "c"), near_duplicates=False)
    data = DataModule(source, None, 4, 0, 0)
    data.setup()
    assert data.spaced
    one = load(folder(tmp_path / "e", None))
    data.splits = {}
    source.load = lambda: {**one, "test": load(root)["test"]}  # type: ignore[method-assign]
    data.setup()
    assert data.spaced
    assert data.splits["val"].spacing is not None
    assert data.splits["val"].spacing.isnan().all()


@pytest.mark.parametrize(
    ("given", "wanted"), [(None, None), (0.2, (0.2, 0.2)), ([1, 2.5], (1.0, 2.5)), ("none", (math.nan, math.nan))]
)
def test_the_option_is_a_pair_a_number_none_or_null(given: Any, wanted: Any) -> None:
    assert read_spacing(given) == (wanted if given != "none" else pytest.approx(wanted, nan_ok=True))


@pytest.mark.parametrize("given", [0, -1, [1], [1, 2, 3], [1, math.nan], "mm", [0, 1], True, ["a", 1]])
def test_other_options_are_refused_in_one_line(given: Any) -> None:
    with pytest.raises(ConfigError, match=r"data\.spacing is .*but must be \[height,width\] of a pixel in mm"):
        read_spacing(given)


@pytest.mark.parametrize("text", ["0.1 0.2", "0.1x0.2", "[0.1, 0.2]", "(0.1;0.2)", r"0.1\0.2"])
def test_cells_are_read_as_people_write_them(text: str) -> None:
    assert spacing_of(["mm"], [text]) == (0.1, 0.2)


@pytest.mark.parametrize("text", ["0", "a", "0.1 0.2 0.3", "-1", "inf"])
def test_cells_without_a_size_are_faults(text: str) -> None:
    with pytest.raises(DataError, match="use the size of a pixel in mm"):
        spacing_of(["mm"], [text])


def test_neutral_options_leave_the_hash_of_a_run(tmp_path: Path) -> None:
    plain = {"seed": 1, "data": {"root": "/x", "columns": {"image": "image"}}}
    later = {"window": None, "spacing": None, "columns": {"image": "image", "spacing": None}}
    assert run_hash({"seed": 1, "data": {"root": "/x", **later}}) == run_hash(plain)
    assert run_hash({"seed": 1, "data": {"root": "/x", **later, "spacing": 0.5}}) != run_hash(plain)


def test_nifti_states_sizes_too(tmp_path: Path) -> None:
    for number in range(12):
        stored = np.random.default_rng(number).integers(0, 255, (24, 8)).astype("u1")
        nifti(tmp_path / "d" / "ab"[number % 2] / f"{number}.nii.gz", stored, np.diag([0.25, -0.5, 1, 1]))
    found = load(tmp_path / "d")["train"]
    assert found.ids[0].count(".") == 0
    torch.testing.assert_close(found.spacing, torch.tensor([[0.25, 0.375]]).expand(len(found), 2))

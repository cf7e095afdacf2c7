"""Folders and tables of DICOM and NIfTI files, as people keep them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pydicom.data
import pytest
from PIL import Image
from tests.data.files.made import grey12
from tests.data.files.scans import dicom, nifti

from tandem.data.folder import Folder
from tandem.errors import DataError
from tandem.runs.provenance import keep_data


def square(seed: int) -> np.ndarray:
    """A mask, (24, 24) of 0 and 1."""
    made = np.zeros((24, 24), "u1")
    made[4 + seed % 5 : 12, 3:15] = 1
    return made


def load(root: Path, **options: Any) -> dict[str, Any]:
    """All rows by id: (image, mask)."""
    source = Folder(str(root), size=24, cache=str(root.parent / "cache"), **options)
    return {
        name: (
            samples.take([row])["image"][0, 0].numpy(),
            samples.masks[row, 0].numpy() if samples.masks.shape[1] else None,
        )
        for samples in source.load().values()
        for row, name in enumerate(samples.ids)
    }


def test_class_folders_of_scans_with_masks_of_any_format_beside_them(tmp_path: Path) -> None:
    root = tmp_path / "d"
    for seed in range(16):
        place, levels = root / "ab"[seed % 2], grey12(seed)
        name = (f"s{seed}.dcm", f"IM{seed:04}", f"1.2.840.{seed}", f"s{seed}.DCM")[seed % 4]
        dicom(place / name, levels, BitsStored=12)
        stem = name.removesuffix(".dcm").removesuffix(".DCM")
        if seed % 3:
            Image.fromarray(square(seed) * 255).save(place / f"{stem}_mask.png")
        else:
            dicom(place / f"{stem}_mask.dcm", square(seed))
    (root / "a" / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    (root / "a" / "LICENSE").write_text("none")
    found = load(root)
    assert len(found) == 16
    for seed in range(16):
        name = f"{'ab'[seed % 2]}/{(f's{seed}', f'IM{seed:04}', f'1.2.840.{seed}', f's{seed}')[seed % 4]}"
        np.testing.assert_array_equal(found[name][1], square(seed))
        assert np.corrcoef(found[name][0].ravel(), grey12(seed).ravel())[0, 1] > 0.99


@pytest.mark.parametrize("ending", ["png", "bmp"])
def test_a_mask_may_have_the_name_of_its_scan(ending: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    root = tmp_path / "d"
    for seed in range(12):
        dicom(root / "ab"[seed % 2] / f"{seed}.dcm", grey12(seed))
        Image.fromarray(square(seed) * 255).save(root / "ab"[seed % 2] / f"{seed}.{ending}")
    found = load(root)
    assert len(found) == 12
    np.testing.assert_array_equal(found["a/4"][1], square(4))
    assert "with the name of a DICOM or NIfTI image are its mask: 12" in caplog.text
    assert load(root, images="{class}/{id}.dcm", masks=f"{{class}}/{{id}}.{ending}").keys() == found.keys()
    Image.fromarray((grey12(4) >> 4).astype("u1")).save(root / "a" / f"4.{ending}")  # the image again, no mask
    with pytest.raises(DataError, match="are both 'a/4'"):
        load(root)


def test_nnunet_slices_in_nifti_are_offered_and_read(tmp_path: Path) -> None:
    root = tmp_path / "d"
    for seed in range(12):
        turned = np.diag([1.0, -1.0, 1, 1])
        nifti(root / "imagesTr" / f"c{seed}_0000.nii.gz", grey12(seed).astype("i2").T[::-1], turned)
        nifti(root / "labelsTr" / f"c{seed}.nii.gz", square(seed).T, np.diag([-1.0, -1.0, 1, 1]))
    with pytest.raises(DataError, match=r"'data\.images=\"imagesTr/\{id\}_0000\"' 'data\.masks=\"labelsTr/\{id\}\"'"):
        load(root)
    found = load(root, images="imagesTr/{id}_0000", masks="labelsTr/{id}")
    assert len(found) == 12
    for seed in range(12):
        image, mask = found[f"imagesTr/c{seed}_0000"]
        np.testing.assert_array_equal(mask, square(seed))
        assert np.corrcoef(image.ravel(), grey12(seed).ravel())[0, 1] > 0.99


def test_a_mask_that_is_drawn_on_the_stored_pixels_of_a_turned_slice_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "d"
    for seed in range(12):
        nifti(root / "ab"[seed % 2] / f"{seed}.nii.gz", grey12(seed).astype("i2").T, np.eye(4))
        Image.fromarray(square(seed) * 255).save(root / "ab"[seed % 2] / f"{seed}_mask.png")
    load(root)
    assert "images that differ from a mask in the EXIF orientation tag: 12" in caplog.text


def test_a_table_names_scans_with_and_without_endings(tmp_path: Path) -> None:
    root = tmp_path / "d"
    lines = ["image,label,mask"]
    for seed in range(12):
        dicom(root / f"IM{seed}", grey12(seed))
        nifti(root / "m" / f"{seed}.nii.gz", square(seed).T, np.diag([-1.0, -1, 1, 1]))
        lines.append(f"IM{seed},{'ab'[seed % 2]},m/{seed}")
    (root / "t.csv").write_text("\n".join(lines))
    found = load(root, table="t.csv")
    assert sorted(found) == sorted(f"IM{seed}" for seed in range(12))
    np.testing.assert_array_equal(found["IM3"][1], square(3))


def test_a_volume_and_a_series_are_faults_that_name_the_file(tmp_path: Path) -> None:
    root = tmp_path / "d"
    nifti(root / "a" / "v.nii.gz", np.zeros((8, 8, 5), "u1"), np.eye(4))
    shipped = Path(pydicom.data.__file__).parent / "test_files" / "examples_ybr_color.dcm"
    (root / "b").mkdir()
    (root / "b" / "s.dcm").write_bytes(shipped.read_bytes())
    with pytest.raises(DataError) as caught:
        load(root, masks=None)
    assert "a/v.nii.gz' is a volume or series (8x8x5)" in str(caught.value)
    assert "b/s.dcm' has 30 frames" in str(caught.value)


def test_nothing_of_a_header_is_in_what_a_data_set_leaves(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from tandem.data.datamodule import DataModule

    root = tmp_path / "d"
    for seed in range(12):
        dicom(root / "ab"[seed % 2] / f"{seed}.dcm", grey12(seed), BitsStored=12, PixelSpacing=[0.2, 0.2])
    source = Folder(str(root), size=24, cache=str(tmp_path / "cache"), masks=None)
    data = DataModule(source, None, 4, 0, 0)
    data.setup()
    (tmp_path / "run").mkdir()
    keep_data(data, tmp_path / "run")
    written = [path for place in ("cache", "run") for path in (tmp_path / place).rglob("*") if path.is_file()]
    assert len(written) > 3
    for path in written:
        assert b"ROSENBAUM" not in path.read_bytes()
    assert "ROSENBAUM" not in caplog.text + json.dumps(data.notes)

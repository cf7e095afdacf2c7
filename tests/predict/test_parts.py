"""Names, tables and drawings, each alone."""

import string
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from tests.predict.conftest import blob, tagged

from tandem.data.files.pillow_reader import MODES
from tandem.errors import ConfigError, DataError
from tandem.predict.drawn import write_mask, write_overlay
from tandem.predict.found import _stems, find
from tandem.predict.settings import read_settings
from tandem.predict.table import PredictionsFile
from tandem.reports.palette import rgb
from tandem.runs.views import View, open_any

# --------------------------------------------------------------------------------------------------------------- names

NAMES = st.text(alphabet="aAb.", min_size=1, max_size=5).filter(lambda name: name.strip("."))
PATHS = st.lists(NAMES, min_size=1, max_size=2).map("/".join)


@settings(deadline=None)
@given(st.sets(PATHS, max_size=12))
def test_no_two_images_have_one_stem(paths: set[str]) -> None:
    stems = _stems([PurePosixPath(path) for path in sorted(paths)])
    assert len(set(stems)) == len(paths)


def test_stems_are_short_where_they_can_be() -> None:
    paths = ["a.png", "b.jpg", "b.png", "c.png", "c.png.png", "d/a.png", "e"]
    stems = ["a", "b.jpg", "b.png", "c", "c.png.png", "d/a", "e"]
    assert _stems([PurePosixPath(path) for path in paths]) == stems


def test_links_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "sub" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "again").symlink_to(tmp_path / "in" / "sub")
    (tmp_path / "in" / "sub" / "own.png").touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "far.png").touch()
    (tmp_path / "in" / "away").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "other.png").touch()
    (tmp_path / "in" / "link.png").symlink_to(tmp_path / "other.png")
    (tmp_path / "in" / "dangling.png").symlink_to(tmp_path / "gone.png")
    assert [file.name for file in find(tmp_path / "in", tmp_path / "out")] == [
        "away/far.png",
        "link.png",
        "sub/own.png",
    ]


# --------------------------------------------------------------------------------------------------------------- table

ROWS = st.dictionaries(
    st.text(string.printable + "é", min_size=1, max_size=6),
    st.text(string.printable, max_size=6),
    min_size=1,
    max_size=4,
)


@settings(deadline=None, max_examples=40)  # each example waits for the disk
@given(ROWS, st.data())
def test_a_table_cut_anywhere_keeps_whole_rows_alone(
    tmp_path_factory: pytest.TempPathFactory, rows: dict[str, str], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("table") / "t.csv"
    table = PredictionsFile(path, ("image", "value"))
    assert table.keep(lambda row: True) == set()
    with table:
        for name, value in rows.items():
            table.add({"image": name, "value": value})
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content)), label="cut")])
    kept = PredictionsFile(path, ("image", "value"))
    seen: dict[str, str] = {}
    names = kept.keep(lambda row: seen.setdefault(row["image"], row["value"]) == row["value"])
    assert seen == {name: rows[name] for name in names}
    assert list(rows)[: len(names)] == [name for name in rows if name in names]
    with kept:
        for name in rows.keys() - names:
            kept.add({"image": name, "value": rows[name]})
    kept.sort(list(rows))
    assert path.read_bytes() == content


def test_a_row_cut_at_a_line_end_within_a_name_is_no_row(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('image,value\na,1\nb,"2\n')
    assert PredictionsFile(tmp_path / "t.csv", ("image", "value")).keep(lambda row: True) == {"a"}


def test_a_table_of_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"t\.csv has other columns"):
        PredictionsFile(tmp_path / "t.csv", ("image", "value")).keep(lambda row: True)


# ------------------------------------------------------------------------------------------------------------ images


@pytest.mark.parametrize("mode", [*MODES, "I;16", "I", "F"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_becomes_what_networks_see(mode: str, channels: int) -> None:
    seen = View(8, channels, ((0.0, 1.0),), deep=True).of(open_any(Image.new(mode, (5, 6))), "a")
    assert (seen.shape, seen.dtype.name) == ((channels, 8, 8), "float32" if mode[0] in "IF" else "uint8")


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", [*range(1, 9), 99])
def test_a_mask_lies_on_its_image_however_both_are_read(tmp_path: Path, orientation: int, ending: str) -> None:
    dark = np.zeros((16, 24, 3), np.uint8)
    dark[2:9, 3:12] = 255
    Image.fromarray(dark).save(tmp_path / f"a.{ending}", exif=tagged(orientation))
    upright = open_any(tmp_path / f"a.{ending}").pixels[..., 0] > 127
    write_mask(tmp_path / "mask.png", upright.astype(np.uint8) * 255, tmp_path / f"a.{ending}")
    with Image.open(tmp_path / f"a.{ending}") as image, Image.open(tmp_path / "mask.png") as mask:
        np.testing.assert_array_equal(np.asarray(mask) > 127, np.asarray(image.convert("L")) > 127)
        turned = ImageOps.exif_transpose(mask)
        np.testing.assert_array_equal(np.asarray(turned) > 127, upright)


def test_an_overlay_tints_and_outlines(tmp_path: Path) -> None:
    Image.fromarray(np.full((40, 60), 100, np.uint8)).save(tmp_path / "a.png")
    region, other = np.zeros((2, 40, 60), bool)
    region[10:30, 0:20] = True
    other[35:38, 50:60] = True
    write_overlay(tmp_path / "o.png", tmp_path / "a.png", [region, other])
    with Image.open(tmp_path / "o.png") as overlay:
        pixels = np.asarray(overlay).astype(int)
    assert pixels.shape == (40, 60, 3)
    assert (pixels[~(region | other)] == 100).all()
    assert (pixels[10, 0:20] == rgb(0)).all()
    assert (pixels[10:30, 0] == rgb(0)).all(), "also at the border of the image"
    assert (pixels[20, 10] != pixels[10, 10]).any()
    assert (pixels[20, 10] != 100).any()
    assert (pixels[35, 50:60] == rgb(1)).all()


@pytest.mark.parametrize("array", [blob(20, 30).astype(np.uint16) * 200, blob(20, 30).astype(np.float32)])
def test_an_overlay_of_deep_levels_is_to_be_seen(tmp_path: Path, array: np.ndarray) -> None:
    Image.fromarray(array).save(tmp_path / "a.tif")
    write_overlay(tmp_path / "o.png", tmp_path / "a.tif", [np.zeros((20, 30), bool)])
    with Image.open(tmp_path / "o.png") as overlay:
        assert np.asarray(overlay).max() == 255
        assert np.asarray(overlay).min() == 0


@pytest.mark.parametrize(("images", "out"), [("images", "images"), ("images", "."), ("images/a.png", "images")])
def test_answers_do_not_mix_with_images(tmp_path: Path, images: str, out: str) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").touch()
    config = {"run": "x", "images": tmp_path / images, "out": tmp_path / out, "batch_size": 1, "flips": False}
    with pytest.raises(ConfigError, match=r"^out=\S+ is the images' own folder, or one above it, where images"):
        read_settings({**config, "overlays": False, "device": "cpu", "data": None})

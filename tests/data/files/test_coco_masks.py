"""Polygons and run lengths give the masks that other libraries give."""

import numpy as np
import pytest
from matplotlib.path import Path as Outline

from tandem.data.files.coco_masks import decode_counts, draw
from tandem.errors import DataError


@pytest.mark.parametrize("seed", range(20))
def test_polygons_are_those_of_matplotlib(seed: int) -> None:
    random = np.random.default_rng(seed)
    height, width = 30, 40
    angles = np.sort(random.random(random.integers(3, 12)) * 2 * np.pi)
    radius = random.uniform(3, 30, (2, len(angles)))  # partly outside of the image
    points = np.stack([20 + radius[0] * np.cos(angles), 15 + radius[1] * np.sin(angles)], axis=1)
    y, x = np.mgrid[:height, :width]
    centres = np.stack([x.ravel() + 0.5, y.ravel() + 0.5], axis=1)
    expected = Outline(np.vstack([points, points[:1]])).contains_points(centres).reshape(height, width)
    assert (draw([points.ravel().tolist()], height, width) == expected).all()


def test_several_polygons_are_merged() -> None:
    mask = draw([[1, 1, 4, 1, 4, 4, 1, 4], [3, 3, 6, 3, 6, 6, 3, 6]], 8, 8)
    expected = np.zeros((8, 8), bool)
    expected[1:4, 1:4] = expected[3:6, 3:6] = True
    assert (mask == expected).all()


BOX, HOLED = np.zeros((4, 5), bool), np.zeros((40, 50), bool)
BOX[1:3, 1:4] = HOLED[5:33, 7:44] = True
HOLED[10:12, 20:22] = False

# Compressed by pycocotools 2.0.11.
COMPRESSED = {
    "5220003": BOX,
    "m8l0<000000000000000000000000YOF`0:@F`0:7000000000000000000000000000000000000000000[7": HOLED,
}


@pytest.mark.parametrize("text", COMPRESSED)
def test_run_lengths_are_those_of_pycocotools(text: str) -> None:
    expected = COMPRESSED[text]
    height, width = expected.shape
    assert (draw({"size": [height, width], "counts": text}, height, width) == expected).all()
    assert (draw({"size": [height, width], "counts": decode_counts(text)}, height, width) == expected).all()


@pytest.mark.parametrize(
    ("segmentation", "line"),
    [
        ([[1, 1, 2, 2]], "a polygon has 4 numbers"),
        ([[1, 1, 2, 2, 3]], "a polygon has 5 numbers"),
        ([[1, 1, 2, 2, 3, float("nan")]], "no finite number"),
        ({"size": [4, 4], "counts": [16]}, r"of an image of \[4, 4\], but their image is \[5, 4\]"),
        ({"size": [4, 5], "counts": [16]}, "do not add up to the 20 pixels"),
        ({"size": [4, 5], "counts": [-1, 21]}, "not whole numbers"),
        ({"size": [4, 5]}, "not whole numbers"),
        ({"size": [4, 5], "counts": "é"}, "have the character 'é'"),
        ({"size": [4, 5], "counts": "P"}, "end within a number"),
    ],
)
def test_what_cannot_be_drawn_is_named(segmentation: object, line: str) -> None:
    with pytest.raises(DataError, match=line):
        draw(segmentation, 4, 5)  # type: ignore[arg-type]  # as it comes from a file

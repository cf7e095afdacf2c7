"""Predicted masks as PNG files."""

from pathlib import Path
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from tandem.utils.files import write_whole


def file_name(task: str, image: str, channel: str = "") -> str:
    """Path of an image's mask, relative to the folder of the evaluation.

    The name of the image is quoted, so that it cannot lead out of the folder.

    Example:
        >>> file_name("segmentation", "benign (1)"), file_name("segmentation", "../a", "cyst")
        ('masks/segmentation/benign (1).png', 'masks/segmentation/..%2Fa.cyst.png')
    """
    return f"masks/{task}/{quote(image, safe=' ()[]+,=@')}{f'.{quote(channel)}' if channel else ''}.png"


def write_mask(path: Path, mask: npt.NDArray[np.bool_]) -> None:
    """Writes a mask as a 1-bit PNG in the network's input size; the file is complete or absent.

    Args:
        path: the file.
        mask: (H, W).
    """
    from PIL import Image

    write_whole(path, lambda file: Image.fromarray(mask).save(file, format="png"))


def write_classes(path: Path, classes: npt.NDArray[np.uint8]) -> None:
    """Writes class indices as an 8-bit grey PNG; the file is complete or absent.

    Args:
        path: the file.
        classes: (H, W).
    """
    from PIL import Image

    write_whole(path, lambda file: Image.fromarray(classes).save(file, format="png"))

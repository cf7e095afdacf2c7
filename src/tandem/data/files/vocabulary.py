"""The words in names of files and folders that say what a file is: a mask, an image, or of which split."""

import re

from tandem.data.files.rows import SPLIT_NAMES

MASK_WORDS = (
    "segmentations?|segmented|segs?|masks?|labels?|gts?|ground[ _]?truths?|annotations?|annos?|annots?|trimaps?"
    "|lesions?|labelmaps?|segmentation(?:class|object)|superpixels?"
)
IMAGE_WORDS = "(?:jpe?g|png)?images?|imgs?|inputs?|photos?|scans?"

MASK_NAME = re.compile(rf"(?P<id>.+?)(?P<suffix>[ _.-]+(?P<word>{MASK_WORDS})(?:[ _-]?\d+)?)", re.IGNORECASE)
"""The name of a mask beside its image: `ISIC_0012_Segmentation`, `p1-mask`, `p1_mask_2`."""

MASKS = re.compile(MASK_WORDS, re.IGNORECASE)
IMAGES = re.compile(IMAGE_WORDS, re.IGNORECASE)
SPLIT = re.compile(rf"({'|'.join(SPLIT_NAMES)})[ _-]?(\d{{4}})?", re.IGNORECASE)
"""Names of folders that say what the files in them are, and not of which class."""

MASKS_IN = re.compile(rf"(.*[ _-])?({MASK_WORDS})(tr|ts)?([ _-].*)?", re.IGNORECASE)
IMAGES_IN = re.compile(rf"(.*[ _-])?({IMAGE_WORDS})(tr|ts)?([ _-].*)?", re.IGNORECASE)
"""Names of folders that hold masks or images, among other words: `train_masks`, `labelsTr`."""

NNUNET = re.compile(r"(images|labels)T[rs]")
CHANNEL = re.compile(r"_\d{4}$")
"""nnU-Net's folders, and what it appends to the name of an image, and not to that of its mask."""

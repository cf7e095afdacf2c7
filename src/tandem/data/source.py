"""The interface of a data set: a name, its classes, and its splits."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from tandem.data.samples import Samples


class Source(Protocol):
    """A data set. It knows its files or formula, but nothing about batches, tasks or networks.

    It may also have `targets` (a `Targets`, needed if its rows carry anything other than a class and one lesion mask),
    `formula` (true if the images follow from the options alone, so that no file has to be compared), and, after `load`,
    `files_fingerprint` (SHA-256 of the files read), `skipped` (a line for each row left out), `records` (a `Record` for
    each listed row, if rows are files), `files_root` (their folder), `lists` (further files read, such as a table),
    `levels` (black and white of its images of more than 8 bits, usually one pair; empty if there are none), `notes`
    (what a run keeps about its data) and `file_masks` (a `FileMasks` for each id, the masks at the size of the files).
    `allow_overlap` says whether groups may be in several splits, and `masks_among(files)` which of some files are masks
    by its own names, see `masks_among`.

    Attributes:
        name: short name of the data set, as shown in tables.
        classes: names of the classes, in the order of their indices; empty if images have no class.
        channels: channels of an image.
    """

    name: str
    channels: int

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; a data set of files may have to search its files for them."""
        ...

    def load(self) -> Mapping[str, Samples]:
        """Returns the splits `train`, `val` and `test`, decoded.

        Raises:
            DataError: a file cannot be used; one line names the file and the fix.
        """
        ...


def masks_among(source: Source, files: Sequence[Path]) -> set[Path]:
    """The files that are masks by a data set's own names; none where it has no rule for names.

    Args:
        source: of a run's training data, which need not be there.
        files: absolute paths, such as those of a folder to predict.
    """
    rule = getattr(source, "masks_among", None)
    return set() if rule is None else set(rule(files))

"""Your own images: a folder, with or without a table that lists its images."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tandem.data.batch import MISSING_LABEL
from tandem.data.files.archives import folder_of
from tandem.data.files.class_names import ClassNames, in_order
from tandem.data.files.dataset_builder import FileDatasetBuilder
from tandem.data.files.faults import Faults, refuse
from tandem.data.files.ids import owners_of, read_ids
from tandem.data.files.images import ReadOptions, rgb, shown_through
from tandem.data.files.layout import Layout
from tandem.data.files.levels import checked_range
from tandem.data.files.mask_names import masks_by_layout
from tandem.data.files.masks import BACKGROUND, MaskValues
from tandem.data.files.masks import mask_values as read_mask_values
from tandem.data.files.missing import MISSING, MissingValues
from tandem.data.files.records import Decoder, Record
from tandem.data.files.rows import ImageRow
from tandem.data.files.spacing import read_spacing
from tandem.data.files.table import SourceTable, read_columns
from tandem.data.files.template import Template
from tandem.data.samples import Samples
from tandem.data.shared_options import FileSource
from tandem.data.splitting.overlap import Overlap
from tandem.data.targets import Targets
from tandem.errors import ConfigError, DataError

COLUMNS = {"image": "image", "label": "label", "masks": "mask"}
CLASS_MASKS = "classes"


class Folder(FileSource):
    """Images in a folder, described by its layout or by a table; images are decoded once.

    Without a table, the paths describe the images: `images` and `masks` are templates of paths below the root, without
    suffix, in which `{id}`, `{class}`, `{group}` and `{split}` each stand for one name, and `*` for any text within a
    name. A mask belongs to the image with the same values of the fields that both templates share; several masks are
    merged. A template may end with an ending (`{id}_lesion.bmp`), which chooses between files that differ in nothing
    else. Links to folders are followed. Examples:

    * class folders with masks beside the images: `{class}/{id}` and `{class}/{id}_mask*`
    * masks in a parallel folder: `images/{class}/{id}` and `masks/{class}/{id}`
    * published splits: `{split}/{class}/{id}`; a folder for each patient: `{class}/{group}/{id}`

    With a table, `columns` names the columns to read; an empty cell, or one with a word of `missing`, is an unknown
    target.

    Images are grey or RGB, PNG, JPEG, BMP, TIFF, WebP, GIF, PNM, JPEG 2000, DICOM (one frame) or NIfTI (one slice), of
    any size, and are fitted into a square. Levels of more than 8 bits keep their precision. Images and masks are
    turned by their own EXIF orientation tag or affine. All faults are reported together, one line each. Files below the
    root that are not used are counted by ending and reason.

    Args:
        root: the folder, or a zip or tar archive of it.
        name: name of the data set in logs and results; letters, digits, `_` and `-`.
        grey_range: levels that become black and white in images of more than 8 bits; None: quantiles of the training
            images, see `tandem.data.files.levels.robust_range`.
        background: colour that transparent pixels are composited on: a name or `#rrggbb`.
        window: `file`: show the levels of DICOM and NIfTI files through the window that each of them states, in 8 bits;
            None: use the levels themselves.
        spacing: height and width of a pixel of the files in millimetres, or one number for both, which replaces what
            tables and files state; `none`: unknown; None: as the table, else the file states.
        table: path of a CSV or Parquet file relative to the root, or None.
        columns: names of the table's columns, see `tandem.data.files.table.Columns`: `image`, and `label`, `masks`,
            `id`, `group`, `split`, `findings`, `numbers`, `spacing` if present.
        missing: words that mean a missing value, in all columns and in any case, unless `classes` names them; None:
            those of `tandem.data.files.missing.MISSING`.
        images: template of the images' paths, if there is no table.
        masks: template of the masks' paths, or one template per mask channel by name, or None.
        classes: names of the classes in the order of their indices, or a name for each value in the table or
            folder name, where 1, 1.0 and 01 are one value; None: all names that occur, in alphabetical order.
        mask_values: names by value or colour of a mask's pixels, see `tandem.data.files.masks.mask_values`. With
            several names, each pixel has one class.
        no_mask: meaning of an image without a mask file: `missing` (unknown) or `empty` (no lesion).
        near_duplicates: whether to keep near-duplicates in one split. The time grows with the square of the number of
            images, so `auto` does it for up to 20 000 images.
        resplit: whether to ignore the splits in the table or layout.
        ids: `plain`, or `hashed`: images and groups are named by a keyed hash in all that is written, see
            `tandem.data.files.ids`.
        shared: options of `FileSource`.

    Attributes:
        name: see the argument.

    Raises:
        ConfigError: an argument is out of range.
    """

    def __init__(
        self,
        root: str,
        *,
        name: str = "folder",
        grey_range: Sequence[float] | None = None,
        background: str = "black",
        window: str | None = None,
        spacing: str | float | Sequence[float] | None = None,
        table: str | None = None,
        columns: Mapping[str, Any] = COLUMNS,
        missing: Sequence[str] | None = None,
        images: str = "{class}/{id}",
        masks: str | Mapping[str, str] | None = "{class}/{id}_mask*",
        classes: Sequence[str] | Mapping[str, str] | None = None,
        mask_values: Mapping[str, str] | None = None,
        no_mask: str = "missing",
        near_duplicates: bool | str = "auto",
        resplit: bool = False,
        ids: str = "plain",
        **shared: Any,
    ) -> None:
        if not re.fullmatch(r"[\w-]+", str(name)):
            raise ConfigError(f"data.name is {name!r}, but may contain only letters, digits, _ and -")
        if no_mask not in ("missing", "empty"):
            raise ConfigError(f"data.no_mask is {no_mask!r}, but must be 'missing' or 'empty'")
        super().__init__(**shared)
        self.name, self.root, self.no_mask, self.given_classes = name, root, no_mask, classes
        self.names = ClassNames(classes)
        values = read_mask_values(mask_values)
        channel = _channel(values)
        self.rows_from: SourceTable | Layout
        if table is not None:
            named_columns = read_columns(columns, channel)
            self.rows_from = SourceTable(
                table, named_columns, MissingValues(MISSING if missing is None else missing, self.names.values)
            )
            self.offered = _targets(tuple(named_columns.masks), values, named_columns.findings, named_columns.numbers)
        else:
            named = {channel: masks} if isinstance(masks, str) else dict(masks or {})
            forms = {
                key: Template(form, f"data.masks.{key}" if key != channel else "data.masks")
                for key, form in named.items()
            }
            self.rows_from = Layout(Template(images, "data.images"), forms, no_mask, named=classes is not None)
            self.offered = _targets(tuple(forms), values, (), ())
        options = ReadOptions(rgb(background, "data.background"), shown_through(window))
        self.decoder = Decoder(
            self.size, self.channels, self.offered.mask_depth, values, options, fit=self.fit, crops=self.crops
        )
        self.grey_range, self.spacing = checked_range(grey_range), read_spacing(spacing)
        self.resplit, self.near_duplicates, self.ids = resplit, near_duplicates, read_ids(ids)
        self.found_classes: tuple[str, ...] | None = None
        self.listed: tuple[Path, list[ImageRow], list[str]] | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; if they are not given, they are collected from the folder or table."""
        if self.names.classes is not None:
            return self.names.classes
        if (
            isinstance(self.rows_from, SourceTable)
            and self.rows_from.columns.label
            and not isinstance(self.rows_from.columns.label, str)
        ):
            return tuple(self.rows_from.columns.label)
        if self.found_classes is None:
            _, rows, faults = self._list()
            self.found_classes = in_order(row.label for row in rows if row.label)
            if len(self.found_classes) < 2 and self.on_error == "fail":  # else a task would blame the classes
                with self.ids.concealing(self._list()[0], {row.id: row.id for row in rows}):
                    refuse(faults, len(rows) + len(faults))
        return self.found_classes

    @property
    def targets(self) -> Targets:
        """The targets besides the class; masks only if at least one image has a mask."""
        _, rows, _ = self._list()
        if any(channel for row in rows for channel in row.masks):
            return self.offered
        return Targets(mask_channels=(), findings=self.offered.findings, columns=self.offered.columns)

    def load(self) -> dict[str, Samples]:
        """Reads the splits `train`, `val` and `test`.

        Raises:
            DataError: the root or table cannot be used, files or rows cannot be used (the message counts them and names
                ten), or a split has no image of a class.
        """
        root, rows, faults = self._list()
        noted = Faults(self.on_error)
        noted.found += faults
        records = self._records(rows, noted)
        with self.ids.concealing(root, owners_of(records)):
            return self._read(root, records, noted)

    def _read(self, root: Path, records: list[Record], noted: Faults) -> dict[str, Samples]:
        decoder = self.decoder if self.targets.mask_depth else Decoder(**{**vars(self.decoder), "mask_depth": 0})
        self.files_root, self.lists = root, self._lists(root)
        builder = FileDatasetBuilder(
            self.name, self.targets, decoder, self.division, self.resplit, self.near_duplicates, self.storage,
            self.grey_range, self.allow_overlap, self.ids,
        )  # fmt: skip
        read = builder.read(records, self.classes, root, noted)
        self.files_fingerprint, self.levels = read.fingerprint, read.levels
        self.file_masks = read.file_masks
        self.skipped = self.conceal(records, root, noted.found)
        self._note(root, read.overlap)
        return read.splits

    def _note(self, root: Path, overlap: Sequence[Overlap]) -> None:
        self.note(root, overlap, self.rows_from.unused)
        if isinstance(self.rows_from, SourceTable):
            label = self.rows_from.columns.label
            self.rows_from.missing.report(self.name, (label,) if isinstance(label, str) else ())
            self.notes["missing"] = self.rows_from.missing.to_json()

    def masks_among(self, files: Sequence[Path]) -> set[Path]:
        """The files that are masks by the templates, or those that the table lists if the root is there.

        Args:
            files: absolute paths, anywhere.
        """
        if isinstance(self.rows_from, Layout):
            return masks_by_layout(self.rows_from, files)
        try:
            _, rows, _ = self._list()
        except DataError:  # the root has moved, so that the table cannot be read
            return set()
        listed = {mask.resolve() for row in rows for channel in row.masks for mask in channel or ()}
        return {file for file in files if file.resolve() in listed}

    def _lists(self, root: Path) -> tuple[Path, ...]:
        """The table, and the archive that the root was unpacked from."""
        given = Path(self.root).expanduser()
        table = (root / self.rows_from.file,) if isinstance(self.rows_from, SourceTable) else ()
        return (*table, *((given.resolve(),) if given.is_file() else ()))

    def _list(self) -> tuple[Path, list[ImageRow], list[str]]:
        """The root, its rows, and the faults of faulty rows; read once."""
        if self.listed is None:
            root = folder_of(self.root, self.cache).resolve()
            if not root.is_dir():
                raise DataError(f"data.root={self.root!r} is not a folder: give the folder with the images")
            faults = Faults(self.on_error)
            with self.ids.concealing(root, {}):
                self.listed = (root, self.rows_from.rows(root, faults), faults.found)
        return self.listed

    def _records(self, rows: Sequence[ImageRow], faults: Faults) -> list[Record]:
        classes = self.classes
        index = {name: place for place, name in enumerate(classes)}
        name_of = self.names.lookup(classes)
        masked = self.targets.mask_depth > 0
        records = []
        for row in rows:
            if row.label and (name := name_of(row.label)) is None:
                place = row.place or f"image {str(row.image)!r}"
                known = ", ".join(self.names.values or classes)
                faults.add(f"the class {row.label!r} is not in data.classes ({known})", place)
                continue
            label = index[name] if row.label and name is not None else MISSING_LABEL
            masks = tuple(channel or (() if self.no_mask == "empty" else None) for channel in row.masks)
            split = "" if self.resplit else row.split
            records.append(
                Record(
                    row.id,
                    row.image,
                    label,
                    masks if masked else (),
                    row.group,
                    split,
                    row.findings,
                    row.columns,
                    row.place,
                    self.spacing or row.spacing,
                )
            )
        return records


def _channel(values: MaskValues | None) -> str:
    """Name of a single mask channel."""
    if values is None:
        return Targets().mask_channels[0]
    return values.names[0] if len(values.names) == 1 else CLASS_MASKS


def _targets(
    channels: tuple[str, ...], values: MaskValues | None, findings: Sequence[str], columns: Sequence[str]
) -> Targets:
    if values is None or len(values.names) == 1 or not channels:
        return Targets(mask_channels=channels, findings=tuple(findings), columns=tuple(columns))
    if len(channels) > 1:
        raise ConfigError(
            f"data.mask_values names {len(values.names)} classes, but there are {len(channels)} yes/no mask channels "
            f"({', '.join(channels)}); use classes or channels, not both"
        )
    classes = (BACKGROUND, *values.names)
    return Targets(mask_channels=(), mask_classes=classes, findings=tuple(findings), columns=tuple(columns))

"""Gives the targets of another data set the order of a run's: classes, masks, findings and numbers, matched by name."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from tandem.config.suggest import nearest
from tandem.data.batch import MISSING_LABEL, MISSING_PIXEL
from tandem.data.datamodule import DataInfo
from tandem.data.files.own_masks import FileMasks
from tandem.data.loading.storage import chunks
from tandem.data.samples import Samples
from tandem.errors import ConfigError, DataError
from tandem.evaluate.external.options import DROP

UNKNOWN = MISSING_LABEL
LEFT_OUT = -1


def match_targets(
    samples: Samples, theirs: DataInfo, ours: DataInfo, classes: Mapping[str, str | None], *, labelled: bool
) -> tuple[Samples, list[str]]:
    """Rewrites the targets of another set for a run's tasks; what the set lacks is missing in every row.

    Args:
        samples: images of the other set.
        theirs: its description.
        ours: description of the run's training data.
        classes: see `OtherData`.
        labelled: whether a task of the run learns from classes; otherwise they stay as they are.

    Returns:
        The images, without those of dropped classes, and lines about what does not match.

    Raises:
        ConfigError: `classes` names an unknown class.
        DataError: a class of the other set is not one of the run, or its masks have other classes.
    """
    remarks: list[str] = []
    if labelled and theirs.classes:
        table, said = match_classes(theirs.classes, ours.classes, classes, _present(samples, theirs.classes))
        remarks += said
        places = torch.where(samples.labels == MISSING_LABEL, len(theirs.classes), samples.labels)
        samples = replace(samples, labels=torch.tensor([*table, UNKNOWN])[places])
        if bool((left := samples.labels == LEFT_OUT).any()):
            remarks.append(f"{int(left.sum())} images of dropped classes are left out")
            samples = samples.pick((~left).nonzero()[:, 0])
            if not len(samples):
                raise DataError("classes drops every image of the other set; keep some of them")
    elif classes:
        raise ConfigError("classes maps classes, but no task of the run learns from them, or the other set has none")
    masks, said = _masks(samples, theirs, ours)
    return replace(
        samples, masks=masks, findings=_findings(samples, theirs, ours), columns=_columns(samples, ours), origin=None
    ), [*remarks, *said]


def match_classes(
    theirs: Sequence[str], ours: Sequence[str], given: Mapping[str, str | None], present: Sequence[str]
) -> tuple[list[int], list[str]]:
    """Finds the index of each class of another set among those of a run.

    Args:
        theirs: classes of the other set.
        ours: classes of the run.
        given: see `OtherData`.
        present: classes of the other set that have images.

    Returns:
        For each of `theirs`: its index among `ours`, -100 (unknown) or -1 (left out); and lines about missing classes.

    Raises:
        ConfigError: `given` names an unknown class.
        DataError: a class with images is in neither `ours` nor `given`.

    Example:
        >>> match_classes(["nevus", "cyst"], ["benign", "malignant"], {"nevus": "benign", "cyst": None}, ["nevus"])[0]
        [0, -100]
    """
    for name, wanted in given.items():
        if name not in theirs:
            raise ConfigError(f"classes names '{name}', which the other set lacks: {nearest(name, theirs)}")
        if wanted is not None and wanted not in (*ours, DROP):
            raise ConfigError(f"classes.{name} is '{wanted}', which is no class of the run: {nearest(wanted, ours)}")
    table = []
    for name in theirs:
        wanted = given.get(name, name)
        if wanted is None:
            table.append(UNKNOWN)
        else:
            table.append(ours.index(wanted) if wanted in ours else LEFT_OUT)
    extra = [name for name in theirs if name not in ours and name not in given]
    if unmatched := [name for name in extra if name in present]:
        pairs = ", ".join(f"{name}: {_guess(name, ours)}" for name in unmatched)
        raise DataError(
            f"the other set has classes that the run lacks ({', '.join(unmatched)}; the run has {', '.join(ours)}); "
            f"say what each of them is: 'classes={{{pairs}}}' "
            f"(a class of the run; {DROP} leaves its images out; null keeps them without a class)"
        )
    reached = {table[theirs.index(name)] for name in present}
    absent = [name for place, name in enumerate(ours) if place not in reached]
    said = f"the other set has no images of {' and '.join(absent)}, so means over classes are over the others"
    return table, [said] if absent else []


def _guess(name: str, ours: Sequence[str]) -> str:
    alike = [known for known in ours if known.casefold() == name.casefold()]
    return alike[0] if alike else DROP


def _present(samples: Samples, classes: Sequence[str]) -> list[str]:
    return [name for place, name in enumerate(classes) if bool((samples.labels == place).any())]


def match_files(files: Mapping[str, FileMasks], theirs: DataInfo, ours: DataInfo) -> dict[str, FileMasks]:
    """Gives the mask files of another set the channels, or the class indices, of a run, as `match_targets` does it.

    Args:
        files: masks of the other set, by id.
        theirs: its description.
        ours: description of the run's training data.

    Returns:
        The same with channels or indices of the run; none if the masks are of another kind.
    """
    if _same_masks(theirs, ours):
        return dict(files)
    if _other_kind(theirs, ours):
        return {}
    if ours.mask_classes:
        table = _class_table(theirs, ours)
        return {name: replace(file, classes=table) for name, file in files.items()}
    places = dict(_channel_pairs(theirs, ours))
    return {
        name: replace(
            file,
            channels=tuple(
                file.channels[places[target]] if target in places else None for target in range(ours.mask_depth)
            ),
        )
        for name, file in files.items()
    }


def _same_masks(theirs: DataInfo, ours: DataInfo) -> bool:
    return theirs.mask_classes == ours.mask_classes and theirs.mask_channels == ours.mask_channels


def _other_kind(theirs: DataInfo, ours: DataInfo) -> bool:
    return not ours.mask_depth or not theirs.mask_depth or bool(ours.mask_classes) != bool(theirs.mask_classes)


def _class_table(theirs: DataInfo, ours: DataInfo) -> tuple[int, ...]:
    """The index among the run's classes of masks of each class of the other set."""
    if extra := [name for name in theirs.mask_classes if name not in ours.mask_classes]:
        raise DataError(
            f"masks of the other set have the class '{extra[0]}', which the run lacks "
            f"({', '.join(ours.mask_classes)}): name it as the run does, or ignore it, with data.mask_values"
        )
    return tuple(ours.mask_classes.index(name) for name in theirs.mask_classes)


def _channel_pairs(theirs: DataInfo, ours: DataInfo) -> list[tuple[int, int]]:
    """Channel of the run and channel of the other set that it is taken from; a single one is the single one."""
    pairs = [(ours.mask_channels.index(name), place) for place, name in enumerate(theirs.mask_channels)
             if name in ours.mask_channels]  # fmt: skip
    return [(0, 0)] if not pairs and theirs.mask_depth == ours.mask_depth == 1 else pairs


def _masks(samples: Samples, theirs: DataInfo, ours: DataInfo) -> tuple[Tensor, list[str]]:
    """Masks with the channels, or the values, of the run."""
    size = tuple(samples.images.shape[2:])
    if _same_masks(theirs, ours):
        return samples.masks, []
    nothing = torch.full((len(samples), ours.mask_depth, *size), MISSING_PIXEL, dtype=torch.uint8)
    if _other_kind(theirs, ours):
        return nothing, []
    if ours.mask_classes:
        table = _class_table(theirs, ours)
        values = torch.full((256,), MISSING_PIXEL, dtype=torch.uint8)
        values[: len(table)] = torch.tensor(table, dtype=torch.uint8)
        return torch.cat([values[part.long()] for part in chunks(samples.masks)]), []
    if theirs.mask_depth == ours.mask_depth == 1:  # of another name, as they differ
        return samples.masks, [f"masks of '{theirs.mask_channels[0]}' are taken as '{ours.mask_channels[0]}'"]
    for target, place in _channel_pairs(theirs, ours):
        nothing[:, target] = torch.cat([part[:, place] for part in chunks(samples.masks)])
    return nothing, []


def _findings(samples: Samples, theirs: DataInfo, ours: DataInfo) -> Tensor | None:
    if not ours.findings:
        return None
    found = torch.full((len(samples), len(ours.findings)), MISSING_PIXEL, dtype=torch.uint8)
    for place, name in enumerate(theirs.findings):
        if name in ours.findings and samples.findings is not None:
            found[:, ours.findings.index(name)] = samples.findings[:, place]
    return found


def _columns(samples: Samples, ours: DataInfo) -> dict[str, Tensor]:
    nothing = torch.full((len(samples),), torch.nan)
    return {name: samples.columns.get(name, nothing) for name in ours.columns}

"""Which tasks can be learnt at all."""

from tandem.plan.choice import Choice, Rule
from tandem.plan.fingerprint import Fingerprint

LEAST_UNITS = 6
"""Independent units of a class, or with a lesion, below which a task is not learnt: one of a dozen test images, and
as many for validation, still need four for training."""


def learnt(found: Fingerprint) -> tuple[str, ...]:
    """The tasks that can be learnt: `classification`, `segmentation`, `semantic` or `multilabel`."""
    tasks = []
    enough = [name for name, units in found.units_of.items() if units >= LEAST_UNITS]
    if len(enough) >= 2:
        tasks.append("classification")
    if found.units_filled >= LEAST_UNITS:
        tasks += ["semantic"] if found.mask_classes else ["segmentation"] if found.mask_channels else []
    if clear_findings(found):
        tasks.append("multilabel")
    return tuple(tasks)


def clear_findings(found: Fingerprint) -> dict[str, int]:
    """Images with a yes, by finding, of the findings that can be learnt: enough images have them, and enough do not."""
    return {name: yes for name, (yes, no) in found.findings.items() if min(yes, no) >= LEAST_UNITS}


def why_not(found: Fingerprint) -> str:
    """Why nothing can be learnt, and what to do, in one line; empty if something can."""
    if learnt(found):
        return ""
    masked = bool(found.mask_channels or found.mask_classes)
    present = found.present
    ask = "name a folder for each class, or give data.masks='...' or data.table=... (docs: Data)"
    if found.images < 2 * LEAST_UNITS:
        return f"{found.images} images are too few to learn from: each class, or the mask, needs {LEAST_UNITS} or more"
    if masked and not found.filled and found.empty:
        return (
            f"all {found.empty} masks are empty, and there are no two classes: check the masks' grey values, or {ask}"
        )
    if found.findings and not present and not masked:
        counts = ", ".join(f"{name} {yes} yes, {no} no" for name, (yes, no) in list(found.findings.items())[:5])
        return f"no finding has {LEAST_UNITS} images with a yes and as many with a no ({counts}): give more images"
    if len(present) == 1 and not masked:
        return f"all images have one class ({next(iter(present))}), and there are no masks: {ask}"
    if found.numbers and not present and not masked:
        name = found.numbers[0]
        return f"no rule plans for a number ({name}): train with task=number tasks.number.column={name}, or {ask}"
    if not present and not masked:
        return f"{found.images} images have neither classes nor masks, so nothing can be learnt: {ask}"
    counts = ", ".join(f"{name} {units}" for name, units in found.units_of.items())
    return (
        f"too few images for any task (independent ones by class: {counts or 'none'}; with a lesion: "
        f"{found.units_filled}): each class, or the mask, needs {LEAST_UNITS} or more"
    )


def choose(found: Fingerprint) -> Choice:
    """The tasks, with the counts that they are learnt from."""
    tasks = learnt(found)
    counted = {
        "classification": f"{found.labelled} images have one of {len(found.present)} classes",
        "segmentation": f"{found.filled} images have a lesion",
        "semantic": f"{found.filled} images have a mask of {len(found.mask_classes)} classes",
        "multilabel": f"{len(clear_findings(found))} of {len(found.findings)} findings have {LEAST_UNITS} images",
    }
    if not tasks:
        return Choice(why_not(found))
    reasons = [counted[task] for task in tasks]
    few = [f"{name} ({units})" for name, units in found.units_of.items() if units < LEAST_UNITS]
    if few and "classification" not in tasks and found.classes:
        reasons.append(f"no class task, since fewer than two classes have {LEAST_UNITS} independent images")
    if found.empty and not found.filled:
        reasons.append(f"no mask task, since all {found.empty} masks are empty")
    return Choice("; ".join(reasons), groups={"task": list(tasks)})


RULE = Rule(
    question="tasks",
    place=10,
    source="a task needs its target in training, validation and test; partial labels: docs/concepts.md",
    range="classification, segmentation, semantic, multilabel",
    choose=choose,
)

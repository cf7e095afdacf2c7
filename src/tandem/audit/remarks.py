"""Remarks on a data set that matter for training, a line each."""

from collections import Counter

from tandem.audit.audit import Audit
from tandem.audit.facts import EMPTY, FILLED, MISSING
from tandem.data.files.missing import missing_line
from tandem.data.files.unused import LOUD
from tandem.data.samples import SPLITS

RARE = 0.1
"""A class with less than this share of the most frequent one is reported as rare."""

TINY = 0.002
"""A mask below this share of the image is reported as tiny: about 33 pixels of 128 x 128."""


def remarks(audit: Audit) -> list[str]:
    """Lists remarks, the most serious first; empty if there are none."""
    return [*_unused(audit), *_files(audit), *_overlap(audit), *_alike(audit), *_classes(audit), *_masks(audit)]


def verdict(audit: Audit) -> str:
    """Returns the answer of an audit: whether the data set can be used as it is, and what it holds."""
    problems = []
    if audit.faults:
        problems.append(f"things that cannot be used: {len(audit.faults)}")
    apart = len(audit.overlap) or sum(pair.across for pair in audit.alike or ())
    if apart:
        problems.append(
            f"pairs of images that belong together, but are in different splits: {apart} (this biases evaluation)"
        )
    if conflicts := sum(pair.conflict for pair in audit.alike or ()):
        problems.append(f"pairs of near-duplicates with different classes: {conflicts}")
    first = f"Fix first: {'; '.join(problems)}." if problems else _searched(audit)
    counts = Counter(row.label for row in audit.rows if row.label)
    classes = (
        f" of {len(counts)} classes ({', '.join(f'{name} {counts[name]:,}' for name in counts)})" if counts else ""
    )
    states = Counter(row.mask for row in audit.rows)
    known = states[FILLED] + states[EMPTY]
    masks = f"; {states[FILLED]:,} of the {known:,} masks hold a lesion" if known else ""
    return f"{first} {len(audit.rows):,} images{classes}{masks}."


def _searched(audit: Audit) -> str:
    """What was looked for and not found; more is not known of the data."""
    found = "No file, image or group is in two splits"
    if audit.alike is None or not audit.compared:
        return f"{found}; near-duplicates were not searched for."
    return f"{found}, and no near-duplicates are."


def _unused(audit: Audit) -> list[str]:
    """Files that are not used; those that may be images or masks have a line each."""
    loud = [kind for kind in audit.unused if kind["reason"] in LOUD]
    found = [f"not used: {kind['count']} {kind['ending']} files, {kind['reason']}, the first: {kind['first'][0]}"
             for kind in loud]  # fmt: skip
    others = sum(kind["count"] for kind in audit.unused) - sum(kind["count"] for kind in loud)
    return [*found, f"further files that are not used: {others}"] if others else found


def _overlap(audit: Audit) -> list[str]:
    if not audit.overlap:
        return []
    first = audit.overlap[0]
    return [
        f"images of different splits with the same file, content or group: {len(audit.overlap)} pairs, the first: "
        f"{first['one']} and {first['other']} (same {first['reason']}; all in overlap.csv); evaluation is biased"
    ]


def _files(audit: Audit) -> list[str]:
    found = []
    if audit.faults:
        found.append(f"things that cannot be used: {len(audit.faults)}; their rows are left out below")
    if flat := [row.id for row in audit.rows if row.flat]:
        found.append(f"images with a single grey value: {len(flat)}, the first: {flat[0]}")
    if audit.spaced:
        unit = (
            "distances are in mm" if audit.spaced == len(audit.rows) else "distances are nan where one without counts"
        )
        found.append(f"images whose size of pixels is known: {audit.spaced} of {len(audit.rows)}; {unit}")
    return [*found, *_levels(audit)]


def _levels(audit: Audit) -> list[str]:
    """Remarks on images of more than 8 bits."""
    deep = [of for of in audit.levels if of.deep]
    found = [
        f"images of more than 8 bits: {of.images}, with levels from {of.quantiles[0]:g} to {of.quantiles[-1]:g}"
        + (f", which need {of.bits} bits" if of.bits else "")
        + f"; {of.ends[0]:g} becomes black and {of.ends[1]:g} white"
        for of in deep
    ]
    if len(audit.levels) > 1:
        counts = "; ".join(
            f"{'over 8' if of.deep else '8'} bits, {of.ends[0]:g} to {of.ends[1]:g}: "
            + (", ".join(f"{count} {name}" for name, count in of.by_class.items()) or f"{of.images} images")
            for of in audit.levels
        )
        found.append(f"files differ in depth, which may give away the class ({counts})")
    return found


def _alike(audit: Audit) -> list[str]:
    if audit.alike is None:
        return []
    found = []
    if not audit.compared:
        found.append(
            f"near-duplicates were not searched for among {len(audit.rows)} images, only identical images: the time "
            f"grows with the square of their number; compare_up_to={len(audit.rows)} searches anyway"
        )
    if across := [pair for pair in audit.alike if pair.across]:
        ends = Counter(tuple(sorted((pair.one.split, pair.other.split), key=SPLITS.index)) for pair in across)
        counts = ", ".join(f"{count} {one} and {other}" for (one, other), count in sorted(ends.items()))
        found.append(f"near-duplicate pairs in different splits: {len(across)} ({counts}); evaluation is biased")
    if conflicts := [pair for pair in audit.alike if pair.conflict]:
        first = conflicts[0]
        found.append(
            f"near-duplicate pairs with different classes: {len(conflicts)}, the first: {first.one.id} is "
            f"{first.one.label}, {first.other.id} is {first.other.label}"
        )
    if same := sum(pair.identical for pair in audit.alike):
        found.append(f"pairs of identical images: {same}")
    if within := len(audit.alike) - len(across):
        found.append(f"near-duplicate pairs within one split, as they should be: {within}")
    return found


def _classes(audit: Audit) -> list[str]:
    counts = Counter(row.label for row in audit.rows if row.label)
    most = max(counts.values(), default=0)
    found = [
        f"class {name} is rare: {counts[name]} images, the most frequent class has {most}"
        for name in audit.classes
        if most and counts[name] < RARE * most
    ]
    if audit.missing:
        found.append(missing_line(audit.missing))
    unlabelled = sum(not row.label for row in audit.rows) if audit.classes else 0
    return [*found, f"images without a label: {unlabelled}"] if unlabelled else found


def _masks(audit: Audit) -> list[str]:
    states = Counter(row.mask for row in audit.rows)
    tiny = [row.id for row in audit.rows if row.mask == FILLED and row.area < TINY]
    found = []
    if states[MISSING]:
        found.append(f"images without a mask: {states[MISSING]}")
    if states[EMPTY]:
        found.append(f"empty masks: {states[EMPTY]}")
    if tiny:
        found.append(f"masks of less than {TINY:.1%} of the image: {len(tiny)}, the first: {tiny[0]}")
    return found

"""Computes everything that an audit reports about a data set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tandem.audit.facts import Facts, FileFacts, digests_of, facts_of, file_facts, thumbnails_of
from tandem.audit.levels import LevelFacts, levels_of
from tandem.data.files.dataset_builder import MANY
from tandem.data.splitting.duplicates import Pair, near_duplicate_pairs

if TYPE_CHECKING:
    from tandem.data.samples import Samples
    from tandem.data.source import Source


@dataclass(frozen=True)
class Likeness:
    """Two near-duplicates.

    Attributes:
        one: the first image.
        other: the second image.
        places: their indices in the order of all rows.
        distance: number of the 256 bits in which their hashes differ.
        correlation: Pearson correlation of their thumbnails.
        identical: whether all pixels are equal, at the size used in training.
    """

    one: Facts
    other: Facts
    places: tuple[int, int]
    distance: int
    correlation: float
    identical: bool

    @property
    def across(self) -> bool:
        """Whether they are in different splits."""
        return self.one.split != self.other.split

    @property
    def conflict(self) -> bool:
        """Whether their classes are known and differ."""
        return bool(self.one.label and self.other.label) and self.one.label != self.other.label

    @property
    def rank(self) -> tuple[bool, bool, int, float]:
        """Sort key; the worst come first: in different splits, of different classes, most similar."""
        return (not self.across, not self.conflict, self.distance, -self.correlation)


@dataclass(frozen=True)
class Audit:
    """The result of an audit.

    Attributes:
        name: name of the data set.
        classes: names of its classes.
        rows: the images that could be read, split by split.
        files: all listed files; empty if the data are not image files.
        faults: a line for each thing that cannot be used.
        alike: near-duplicate pairs, the worst first; None without a search for them.
        compared: whether all pairs of images were compared; if not, `alike` contains identical images only.
        levels: the levels that the images use.
        findings: the numbers of yes, no and unknown, by yes/no question and split.
        columns: minimum, mean, maximum and number of unknown values, by column and split.
        unused: the files below the root that are not used, by ending and reason, as from `Unused.to_json`.
        missing: the number of missing values, by column and by how they are written.
        overlap: images that belong together and are in different splits, as from `as_notes`.
        spaced: how many images state the size of their pixels.
    """

    name: str
    classes: tuple[str, ...]
    rows: tuple[Facts, ...]
    files: tuple[FileFacts, ...] = ()
    faults: tuple[str, ...] = ()
    alike: tuple[Likeness, ...] | None = None
    compared: bool = True
    levels: tuple[LevelFacts, ...] = ()
    findings: Mapping[tuple[str, str], tuple[int, int, int]] = field(default_factory=dict)
    columns: Mapping[tuple[str, str], tuple[float, float, float, int]] = field(default_factory=dict)
    unused: tuple[Mapping[str, Any], ...] = ()
    missing: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    overlap: tuple[Mapping[str, Any], ...] = ()
    spaced: int = 0


def audit(
    source: "Source",
    splits: Mapping[str, "Samples"],
    distance: int | None = 80,
    correlation: float = 0.85,
    compare_up_to: int = MANY,
) -> Audit:
    """Inspects every image and every pair of images.

    Args:
        source: after `load`.
        splits: the splits that it returned.
        distance: maximum number of bits in which the hashes of near-duplicates differ, see `near_duplicate_pairs`; None
            skips the search for them.
        correlation: the correlation of their thumbnails must exceed this.
        compare_up_to: in larger data sets only identical images are found, since the time for near-duplicates grows
            with the square of the number of images.
    """
    rows = [fact for split, samples in splits.items() for fact in facts_of(split, samples, source.classes)]
    names = getattr(source, "targets", None)
    compared = distance is None or len(rows) <= compare_up_to
    notes = getattr(source, "notes", {})
    each = [notes, *notes.get("sources", {}).values()]  # of mixed data, those of each source
    limits = (distance, correlation) if distance is not None and compared else None
    return Audit(
        name=source.name,
        classes=tuple(source.classes),
        rows=tuple(rows),
        files=tuple(file_facts(getattr(source, "records", ()))),
        faults=tuple(getattr(source, "skipped", ())),
        alike=None if distance is None else likenesses(rows, splits, limits),
        compared=compared,
        levels=levels_of(splits, source.classes),
        findings=_findings(splits, names.findings if names else ()),
        columns=_columns(splits),
        unused=tuple(kind for one in each for kind in one.get("unused", ())),
        missing={column: words for one in each for column, words in one.get("missing", {}).items()},
        overlap=tuple(notes.get("overlap", ())),
        spaced=sum(int(one.spacing.isfinite().all(1).sum()) for one in splits.values() if one.spacing is not None),
    )


def likenesses(
    rows: Sequence[Facts], splits: Mapping[str, "Samples"], limits: tuple[int, float] | None
) -> tuple[Likeness, ...]:
    """Finds near-duplicate pairs, the worst first.

    Args:
        rows: the rows of all splits.
        splits: the splits, with their images.
        limits: `distance` and `correlation` of `near_duplicate_pairs`; None to find identical images only.
    """
    digests = digests_of(splits)
    pairs = equal_pairs(digests) if limits is None else near_duplicate_pairs(thumbnails_of(splits), *limits)

    def likeness(pair: Pair) -> Likeness:
        one, other = pair.one, pair.other
        identical = digests[one] == digests[other]
        return Likeness(rows[one], rows[other], (one, other), pair.distance, pair.correlation, identical)

    return tuple(sorted(map(likeness, pairs), key=lambda pair: (*pair.rank, pair.places)))


def equal_pairs(digests: Sequence[bytes]) -> list[Pair]:
    """Pairs each image with the first one that has the same digest.

    Example:
        >>> [(pair.one, pair.other) for pair in equal_pairs([b"a", b"b", b"a", b"a"])]
        [(0, 2), (0, 3)]
    """
    first: dict[bytes, int] = {}
    leaders = [first.setdefault(digest, row) for row, digest in enumerate(digests)]
    return [Pair(leader, row, 0, 1.0) for row, leader in enumerate(leaders) if leader != row]


def _findings(splits: Mapping[str, "Samples"], names: Sequence[str]) -> dict[tuple[str, str], tuple[int, int, int]]:
    found = {}
    for split, samples in splits.items():
        if samples.findings is not None:
            for column, name in enumerate(names):
                answers = samples.findings[:, column]
                yes, no = int((answers == 1).sum()), int((answers == 0).sum())
                found[name, split] = (yes, no, len(answers) - yes - no)
    return found


def _columns(splits: Mapping[str, "Samples"]) -> dict[tuple[str, str], tuple[float, float, float, int]]:
    found = {}
    for split, samples in splits.items():
        for name, values in samples.columns.items():
            known = values[~values.isnan()]
            ends = (float(known.min()), float(known.mean()), float(known.max())) if len(known) else (float("nan"),) * 3
            found[name, split] = (*ends, len(values) - len(known))
    return found

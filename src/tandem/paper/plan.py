"""What a paper is: studies, tables, figures, published numbers and budgets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tandem.config.suggest import nearest
from tandem.errors import ConfigError

STORED = "stored"
"""The threshold that a run has chosen on its validation data."""


@dataclass(frozen=True)
class Budget:
    """What the runs may cost.

    Attributes:
        about: in words; stands below every table.
        overrides: put behind those of each study; of two with one key the budget's counts.
    """

    about: str
    overrides: Sequence[str] = ()


@dataclass(frozen=True)
class TableRow:
    """A row of a table: runs that differ in seed and fold only.

    Attributes:
        label: in words.
        runs: which ones: choices (`experiment: tiny`) or overrides (`seed: 0`) that they have.
        classes_from: runs whose predicted classes are taken in place of their own, matched by seed and fold.
        refine: whether class and mask are made to agree by the paper's `refine`.
    """

    label: str
    runs: Mapping[str, Any]
    classes_from: Mapping[str, Any] | None = None
    refine: bool = False


@dataclass(frozen=True)
class Column:
    """A column of a table: a number of a run, of which mean and deviation over the row's runs are shown.

    Attributes:
        label: in words.
        metric: a logged name of `results.json`, such as `test/segmentation/dice`; or
        measure: one made of the rows per image, see `tandem.paper.measures`.
        of: only images of this class.
        at: threshold of the masks: 0.5, or `stored`.
        digits: after the point.
    """

    label: str
    metric: str | None = None
    measure: str | None = None
    of: str | None = None
    at: Any = STORED
    digits: int = 3


@dataclass(frozen=True)
class Published:
    """Numbers that others have published.

    Attributes:
        source: where.
        rows: by row and column `[mean, std]`, or the mean alone.
        n: how many runs (folds, seeds) they are over, if that is told.
        labels: what a row is called there, where it is not the same thing.
    """

    source: str
    rows: Mapping[str, Mapping[str, Any]]
    n: int | None = None
    labels: Mapping[str, str] | None = None


@dataclass(frozen=True)
class RowTable:
    """A table whose rows are named.

    Attributes:
        title: over it.
        rows: by name.
        columns: by name.
        baseline: name of the row that the others are compared with.
        published: numbers beside ours.
        note: a remark below it.
    """

    title: str
    rows: Mapping[str, TableRow]
    columns: Mapping[str, Column]
    baseline: str | None = None
    published: Published | None = None
    note: str = ""


@dataclass(frozen=True)
class StudyTable:
    """A table with a row for each choice of what a study sweeps.

    Attributes:
        title: over it.
        study: name of it.
        metrics: logged names; none: the usual ones.
        baseline: `key=value` words that name the choice which the others are compared with.
        note: a remark below it.
    """

    title: str
    study: str
    metrics: Sequence[str] = ()
    baseline: Sequence[str] = ()
    note: str = ""


@dataclass(frozen=True)
class Drawn:
    """A figure of a table.

    Attributes:
        table: name of it.
        columns: that are drawn: names of columns, or logged names; none: all.
        heat: two swept knobs, which make it a heat map for each value of the others.
    """

    table: str
    columns: Sequence[str] = ()
    heat: Sequence[str] = ()


@dataclass(frozen=True)
class Paper:
    """A paper.

    Attributes:
        name: of its yaml.
        title: in words.
        studies: by name the overrides of a sweep; `{data.root}` in them is what was typed for it.
        tables: by name.
        budgets: by name; the first one is taken where none is chosen.
        figures: by name.
        refine: configuration of the post-processing that rows may ask for.
    """

    name: str
    title: str
    studies: Mapping[str, Sequence[str]]
    tables: Mapping[str, RowTable | StudyTable]
    budgets: Mapping[str, Budget]
    figures: Mapping[str, Drawn]
    refine: Mapping[str, Any]

    def budget(self, name: str | None) -> str:
        """The name of the budget that was chosen.

        Args:
            name: typed, or None for the first.

        Raises:
            ConfigError: the paper has no such budget.
        """
        if name is not None and name not in self.budgets:
            raise ConfigError(f"budget is '{name}', which paper '{self.name}' lacks: {nearest(name, self.budgets)}")
        return name or next(iter(self.budgets))

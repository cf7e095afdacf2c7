"""Content of a paper: studies, tables, figures, published numbers and budgets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tandem.config.instantiate import build
from tandem.config.suggest import nearest
from tandem.errors import ConfigError
from tandem.refine import Refinement

STORED = "stored"
"""The threshold that a run chose on its validation data."""

NATIVE = "native"
"""The same, at the size of the image files, so that networks of different sizes are compared with one truth."""


@dataclass(frozen=True)
class Budget:
    """The computational budget of the runs.

    Attributes:
        about: description, printed below every table.
        overrides: added after the overrides of each study; for the same key the budget wins.
        time: of each plan with all its folds, such as `3m`; needed by a paper with plans.
    """

    about: str
    overrides: Sequence[str] = ()
    time: str = ""


@dataclass(frozen=True)
class Planned:
    """An experiment that the rules of `tandem-plan` write before the runs; studies use it as `experiment=<name>`.

    Attributes:
        words: overrides that the rules leave as they are: the data, an experiment.
        like: another plan, whose words come first.
        rules: names of the rules that choose; empty: all. With `[epochs]`, an experiment stays as it is, and gets the
            epochs that fit into the budget's time.
    """

    words: Sequence[str] = ()
    like: str = ""
    rules: Sequence[str] = ()


@dataclass(frozen=True)
class TableRow:
    """A row of a table: runs that differ in seed and fold only.

    Attributes:
        label: label of the row.
        runs: choices (`experiment: tiny`) or overrides (`seed: 0`) that select the runs.
        classes_from: runs whose predicted classes replace those of `runs`, matched by seed and fold.
        refine: whether the paper's `refine` makes class and mask consistent; or the name of one of its `refinements`.
        flips: whether probabilities are averaged over each test image and its mirrored copies.
    """

    label: str
    runs: Mapping[str, Any]
    classes_from: Mapping[str, Any] | None = None
    refine: bool | str = False
    flips: bool = False


@dataclass(frozen=True)
class Column:
    """A column of a table: mean and standard deviation of a metric over the row's runs.

    Give either `metric` or `measure`.

    Attributes:
        label: label of the column.
        metric: a logged name in `results.json`, such as `test/segmentation/dice`, or `seconds` of training.
        measure: a metric computed from the rows per image; see `tandem.paper.measures`.
        of: use only images of this class.
        at: threshold of masks and yes/no questions: 0.5, `stored`, or `native`: the stored one, masks at the size of
            the image files.
        tempered: of a measure, whether probabilities are those of the run's decision, or as before its temperature.
        digits: digits after the decimal point.
    """

    label: str
    metric: str | None = None
    measure: str | None = None
    of: str | None = None
    at: Any = STORED
    tempered: bool = True
    digits: int = 3


@dataclass(frozen=True)
class Published:
    """Numbers published by others.

    Attributes:
        source: the publication.
        rows: `[mean, std]` or the mean alone, by row and column.
        n: number of runs (folds, seeds) of the published numbers, if known.
        labels: label of a row in the publication, where it is not quite the same method.
    """

    source: str
    rows: Mapping[str, Mapping[str, Any]]
    n: int | None = None
    labels: Mapping[str, str] | None = None


@dataclass(frozen=True)
class RowTable:
    """A table with named rows.

    Attributes:
        title: title of the table.
        rows: rows by name.
        columns: columns by name.
        baseline: name of the row that the other rows are compared with.
        published: published numbers to compare with.
        note: remark below the table.
    """

    title: str
    rows: Mapping[str, TableRow]
    columns: Mapping[str, Column]
    baseline: str | None = None
    published: Published | None = None
    note: str = ""


@dataclass(frozen=True)
class StudyTable:
    """A table with one row for each combination of values that a study sweeps.

    Attributes:
        title: title of the table.
        study: name of the study.
        also: further studies whose runs stand in the table, such as the single-task runs that delta-m compares with.
        metrics: logged names; empty: the default metrics of a study.
        baseline: `key=value` pairs of the combination that the others are compared with.
        note: remark below the table.
    """

    title: str
    study: str
    metrics: Sequence[str] = ()
    baseline: Sequence[str] = ()
    note: str = ""
    also: Sequence[str] = ()

    @property
    def studies(self) -> tuple[str, ...]:
        """Names of all studies whose runs stand in the table."""
        return (self.study, *self.also)


@dataclass(frozen=True)
class Drawn:
    """A figure of a table.

    Attributes:
        table: name of the table.
        columns: names of columns, or logged names, to draw; empty: all.
        heat: two swept hyperparameters; if given, draws a heat map for each value of the others.
        curves: of a table with named rows: lines by label, each with its rows by the number on the horizontal axis; a
            panel may be named before a `/`, such as `fewer masks/kept`.
        along: label of the horizontal axis of `curves`.
        ranks: of a study, draws the critical-difference diagram of its choices instead.
    """

    table: str
    columns: Sequence[str] = ()
    heat: Sequence[str] = ()
    curves: Mapping[str, Mapping[Any, str]] | None = None
    along: str = ""
    ranks: bool = False


@dataclass(frozen=True)
class Paper:
    """A paper.

    Attributes:
        name: name of its yaml.
        title: title.
        studies: overrides of a sweep, by name of the study; `%data.root%` is replaced by the reader's `data.root`.
        tables: tables by name.
        budgets: budgets by name; the first is the default.
        figures: figures by name.
        refine: configuration of the post-processing of rows with `refine: true`.
        refinements: further ones by name, for rows with `refine: NAME`.
        plans: experiments that are written before the runs, by name.
    """

    name: str
    title: str
    studies: Mapping[str, Sequence[str]]
    tables: Mapping[str, RowTable | StudyTable]
    budgets: Mapping[str, Budget]
    figures: Mapping[str, Drawn]
    refine: Mapping[str, Any]
    refinements: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    plans: Mapping[str, Planned] = field(default_factory=dict)

    def refinement(self, row: TableRow) -> Refinement | None:
        """The rule that makes class and mask of a row agree; None: they stay as they are.

        Args:
            row: of one of the tables.

        Raises:
            ConfigError: the rule cannot be built.
        """
        if not row.refine:
            return None
        named = isinstance(row.refine, str)
        node = self.refinements[str(row.refine)] if named else self.refine
        rule: Refinement = build(node, f"paper.refinements.{row.refine}" if named else "paper.refine")
        return rule

    def plan_words(self, name: str) -> list[str]:
        """The overrides that a plan starts from, with placeholders such as `%data.root%`.

        Args:
            name: of the plan.
        """
        like = self.plans[name].like
        return [*(self.plans[like].words if like else ()), *self.plans[name].words]

    def budget(self, name: str | None) -> str:
        """Checks the name of a budget.

        Args:
            name: name of a budget; None: the first budget.

        Raises:
            ConfigError: the paper has no such budget.
        """
        if name is not None and name not in self.budgets:
            raise ConfigError(
                f"budget is '{name}', which paper '{self.name}' does not have: {nearest(name, self.budgets)}"
            )
        return name or next(iter(self.budgets))

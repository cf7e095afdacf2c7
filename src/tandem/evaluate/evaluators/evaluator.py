"""What the parts of an evaluation share."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from tandem.evaluate.bootstrap import BootstrapSamples
from tandem.evaluate.findings import Findings, Shown
from tandem.tasks import Task, TaskOutput
from tandem.tasks.kinds import Kind
from tandem.tasks.undefined import undefined_rows

if TYPE_CHECKING:
    from tandem.evaluate.case_viewer import CaseViewer
    from tandem.evaluate.split import Split


class Images(NamedTuple):
    """Which images an answer is about.

    Attributes:
        places: their indices in the split.
        ids: their names.
        classes: names of their classes; empty where unknown.
    """

    places: Sequence[int]
    ids: Sequence[str]
    classes: Sequence[str]


class Evaluator(ABC):
    """Collects the answers of one task over a split, and makes of them numbers, tables, figures and cases.

    Args:
        task: with the thresholds that are applied.
        split: what is evaluated.
        folder: where masks go; None: nowhere.

    Attributes:
        of: the kind of target that it knows, with the kinds derived from it.
        question: what the task asks.
    """

    of: ClassVar[type[Kind]]

    def __init__(self, task: Task, split: "Split", folder: Path | None) -> None:
        self.task = task
        self.question = task.question()
        self.split = split
        self.folder = folder
        self.places: list[int] = []
        self.ids: list[str] = []
        self.classes: list[str] = []
        self.undefined: list[str] = []

    @property
    @abstractmethod
    def columns(self) -> Sequence[str]:
        """Of `images.csv`, without the task's name."""

    @property
    def all_columns(self) -> list[str]:
        """With those that the task's own `answer_from` adds."""
        return list(dict.fromkeys([*self.columns, *self.question.further_columns]))

    def see(self, output: TaskOutput, images: Images) -> list[Mapping[str, Any]]:
        """Adds a batch.

        Args:
            output: the task's answer for its labelled rows.
            images: these rows.

        Returns:
            Cells of each row by column.
        """
        self.places += images.places
        self.ids += images.ids
        self.classes += images.classes
        self.undefined += [images.ids[row] for row in undefined_rows(output).nonzero().flatten().tolist()]
        rows = self.read(output, images)
        if self.question.further is None:
            return rows
        values = output.probabilities.cpu().numpy()
        return [{**row, **self.question.further_cells(one)} for row, one in zip(rows, values, strict=True)]

    @abstractmethod
    def read(self, output: TaskOutput, images: Images) -> list[Mapping[str, Any]]:
        """Keeps what is needed of a batch, and gives the cells of its rows."""

    def findings(self, draws: BootstrapSamples, choosing: bool) -> Findings:
        """Those of `finish`; none but a note if a probability is nan, since such an answer is neither right nor wrong.

        Args:
            draws: see `finish`, as for `choosing`.
            choosing: whether thresholds may be compared.
        """
        if not self.undefined:
            return self.finish(draws, choosing)
        return Findings(
            {},
            notes=[f"The probabilities of {len(self.undefined)} images are not a number, {self.undefined[0]} first."],
        )

    @abstractmethod
    def finish(self, draws: BootstrapSamples, choosing: bool) -> Findings:
        """After the last batch.

        Args:
            draws: of the bootstrap, of the images that were seen.
            choosing: whether it may be asked what another threshold is worth; never on test data.
        """

    def show(self, look: "CaseViewer", count: int) -> list[Shown]:
        """Single images.

        Args:
            look: sees images of the split again.
            count: how many of a kind.
        """
        return []

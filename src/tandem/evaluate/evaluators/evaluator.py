"""Base class of the evaluators."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from tandem.evaluate.bootstrap import BootstrapSamples
from tandem.evaluate.findings import Findings, Shown
from tandem.evaluate.risk import Risk, add_risks
from tandem.tasks import Task, TaskOutput
from tandem.tasks.kinds import Kind
from tandem.tasks.undefined import undefined_rows
from tandem.utils.resampling import Statistic

if TYPE_CHECKING:
    from tandem.evaluate.case_viewer import CaseViewer
    from tandem.evaluate.split import Split


class Images(NamedTuple):
    """The images of a batch of outputs.

    Attributes:
        places: indices of the images in the split.
        ids: names of the images.
        classes: class names of the images; empty where unknown.
    """

    places: Sequence[int]
    ids: Sequence[str]
    classes: Sequence[str]


class Evaluator(ABC):
    """Collects the outputs of one task over a split, and turns them into metrics, tables, figures and cases.

    Args:
        task: the task, with the applied thresholds.
        split: the split to evaluate.
        folder: output folder of masks; None: write no masks.

    Attributes:
        of: the kind of target that this class evaluates, together with its subclasses.
        question: the task's question.
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
        """Columns of `images.csv`, without the prefix of the task's name."""

    @property
    def all_columns(self) -> list[str]:
        """`columns`, and the columns that the task's own `answer_from` adds."""
        return list(dict.fromkeys([*self.columns, *self.question.further_columns]))

    def see(self, output: TaskOutput, images: Images) -> list[Mapping[str, Any]]:
        """Adds a batch.

        Args:
            output: the task's output for its labelled rows.
            images: the images of these rows.

        Returns:
            Values of each row by column.
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
        """Stores what is needed of a batch, and returns the values of its rows by column."""

    def findings(self, draws: BootstrapSamples, choosing: bool) -> Findings:
        """Those of `finish`; none but a note if a probability is nan, since such an answer is neither right nor wrong.

        Args:
            draws: see `finish`, as for `choosing`.
            choosing: whether thresholds may be compared.
        """
        if not self.undefined:
            return add_risks(self.finish(draws, choosing), self.risks(), draws)
        return Findings(
            {},
            notes=[f"The probabilities of {len(self.undefined)} images are not a number, {self.undefined[0]} first."],
        )

    @abstractmethod
    def finish(self, draws: BootstrapSamples, choosing: bool) -> Findings:
        """Computes the results after the last batch.

        Args:
            draws: bootstrap samples of the images with a target.
            choosing: whether other thresholds may be scored; False on test data.
        """

    def risks(self) -> Sequence[Risk]:
        """Confidence and loss of each image, for risk-coverage curves; none if answers are not right or wrong."""
        return ()

    def measure(self) -> Statistic | None:
        """Every score of `finish` as a function of the weight of each image with a target, see `places`.

        None if there is none: nothing was collected, or this kind has no such scores.
        """
        return None

    def show(self, viewer: "CaseViewer", count: int) -> list[Shown]:
        """Draws single cases.

        Args:
            viewer: predicts and draws images of the split.
            count: number of cases in each group.
        """
        return []

"""What the parts of an evaluation share."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from tandem.evaluate.bootstrap import BootstrapSamples
from tandem.evaluate.findings import Findings, Shown
from tandem.tasks import Task, TaskOutput

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
        kind: kind of target that it knows.
        dense: whether of tasks with an answer for each pixel.
    """

    kind: ClassVar[str]
    dense: ClassVar[bool]

    def __init__(self, task: Task, split: "Split", folder: Path | None) -> None:
        self.task = task
        self.split = split
        self.folder = folder
        self.places: list[int] = []
        self.ids: list[str] = []
        self.classes: list[str] = []

    @property
    @abstractmethod
    def columns(self) -> Sequence[str]:
        """Of `images.csv`, without the task's name."""

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
        return self.read(output, images)

    @abstractmethod
    def read(self, output: TaskOutput, images: Images) -> list[Mapping[str, Any]]:
        """Keeps what is needed of a batch, and gives the cells of its rows."""

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

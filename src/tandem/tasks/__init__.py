"""Tasks; each one answers one question about an image."""

from tandem.tasks.area import AreaTask
from tandem.tasks.classification import ClassificationTask
from tandem.tasks.column import ColumnTask
from tandem.tasks.embedding import EmbeddingTask
from tandem.tasks.multilabel import MultilabelTask
from tandem.tasks.output import TaskOutput
from tandem.tasks.segmentation import SegmentationTask
from tandem.tasks.semantic import SemanticTask
from tandem.tasks.task import Task
from tandem.tasks.yes_no import YesNoTask

__all__ = [
    "AreaTask",
    "ClassificationTask",
    "ColumnTask",
    "EmbeddingTask",
    "MultilabelTask",
    "SegmentationTask",
    "SemanticTask",
    "Task",
    "TaskOutput",
    "YesNoTask",
]

"""Tasks: one question about an image each."""

from tandem.tasks.area import AreaTask
from tandem.tasks.classification import ClassificationTask
from tandem.tasks.embedding import EmbeddingTask
from tandem.tasks.output import TaskOutput
from tandem.tasks.segmentation import SegmentationTask
from tandem.tasks.task import Task

__all__ = ["AreaTask", "ClassificationTask", "EmbeddingTask", "SegmentationTask", "Task", "TaskOutput"]

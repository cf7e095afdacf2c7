"""Tasks: one question about an image each."""

from tandem.tasks.classification import ClassificationTask
from tandem.tasks.output import TaskOutput
from tandem.tasks.segmentation import SegmentationTask
from tandem.tasks.task import Task

__all__ = ["ClassificationTask", "SegmentationTask", "Task", "TaskOutput"]

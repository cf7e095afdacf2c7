"""Lightning callbacks: threshold sweep, collapse watch, checkpoints, progress and files."""

from tandem.callbacks.best_checkpoint import BestCheckpoint
from tandem.callbacks.collapse import CollapseWatch
from tandem.callbacks.confusion import Confusion
from tandem.callbacks.deadline import Deadline
from tandem.callbacks.metrics_csv import MetricsCSV
from tandem.callbacks.non_finite import NonFinite
from tandem.callbacks.panels import Panels
from tandem.callbacks.progress import EpochLog, Progress
from tandem.callbacks.threshold_sweep import ThresholdSweep
from tandem.callbacks.tracking import Tracking
from tandem.callbacks.weight_average import WeightAverage

__all__ = [
    "BestCheckpoint",
    "CollapseWatch",
    "Confusion",
    "Deadline",
    "EpochLog",
    "MetricsCSV",
    "NonFinite",
    "Panels",
    "Progress",
    "ThresholdSweep",
    "Tracking",
    "WeightAverage",
]

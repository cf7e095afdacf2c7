"""The command `train`: trains one network on all tasks and writes `results.json`."""

from tandem.train.run import main, train

__all__ = ["main", "train"]

"""Training: one network on all tasks, from a configuration to `results.json`."""

from tandem.train.run import main, train

__all__ = ["main", "train"]

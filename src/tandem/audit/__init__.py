"""What is in a data set: classes, masks, files, images that occur twice, labels that contradict each other."""

from tandem.audit.command import main

__all__ = ["main"]

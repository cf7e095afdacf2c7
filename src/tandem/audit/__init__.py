"""Audits a data set: classes, masks, files, duplicate images, contradictory labels."""

from tandem.audit.command import main

__all__ = ["main"]

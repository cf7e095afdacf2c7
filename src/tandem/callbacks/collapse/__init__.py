"""Detects collapsed training, and reports it once, with a suggested fix."""

from tandem.callbacks.collapse.watch import CollapseWatch

__all__ = ["CollapseWatch"]

"""Knows when training has collapsed, and says so once, with what to try."""

from tandem.callbacks.collapse.watch import CollapseWatch

__all__ = ["CollapseWatch"]

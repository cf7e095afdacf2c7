"""A study: many runs read back, compared, and written as tables and a page."""

from tandem.study.command import main, write_study

__all__ = ["main", "write_study"]

"""Learning-rate range test: trains briefly at increasing rates and suggests one."""

from tandem.find_lr.command import main

__all__ = ["main"]

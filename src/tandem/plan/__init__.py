"""Plans a first good run from the data: facts, rules that choose, a page, and the run within a budget."""

from tandem.plan.command import main

__all__ = ["main"]

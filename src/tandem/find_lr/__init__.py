"""A learning-rate range test: a short training run at rising rates, and the rate that it suggests."""

from tandem.find_lr.command import main

__all__ = ["main"]

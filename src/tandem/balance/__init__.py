"""From named task losses to the one number that is minimised."""

from tandem.balance.fixed import FixedWeights

__all__ = ["FixedWeights"]

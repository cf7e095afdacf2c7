"""From named task losses to the one number that is minimised."""

from tandem.balance.balance import Balance
from tandem.balance.fixed import FixedWeights

__all__ = ["Balance", "FixedWeights"]

"""Risk and coverage: how good the answers are that are kept when the least certain images go to a person."""

from tandem.evaluate.risk.findings import Risk, add_risks

__all__ = ["Risk", "add_risks"]

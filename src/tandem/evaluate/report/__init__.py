"""Page and table of an evaluation."""

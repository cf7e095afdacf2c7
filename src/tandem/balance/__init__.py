"""From named task losses to the one number that is minimised."""

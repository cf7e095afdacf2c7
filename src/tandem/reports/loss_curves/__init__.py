"""What a loss pulls at, before a run is spent on it: curves of one pixel, and shares of the gradient on real masks."""

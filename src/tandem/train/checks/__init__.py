"""Checks before training: settings of a run, its data, and a trial of its network, each refused in one line."""

"""Checks before training: settings, data and a trial of the network. Each error is one line."""

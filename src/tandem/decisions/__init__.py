"""Decisions: how the probabilities of an image become its answer. Plain data, fitted on validation data only."""

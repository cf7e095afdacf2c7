"""Runs: their provenance, and how to restore a trained module and run inference with it."""

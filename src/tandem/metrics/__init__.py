"""Metrics whose counts are kept over a whole split and divided once."""

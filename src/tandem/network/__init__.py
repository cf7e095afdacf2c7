"""Backbone and decoder: one pass serves all tasks."""

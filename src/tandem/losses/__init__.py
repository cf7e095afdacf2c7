"""Losses: logits in, one file for each kind of target."""

"""Writes a data set as shards, which `data=streamed` reads."""

from tandem.write_shards.command import main

__all__ = ["main"]

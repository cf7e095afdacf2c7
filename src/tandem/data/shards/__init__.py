"""Data sets in shards: files of many rows each, in LitData's format, that are read row by row."""

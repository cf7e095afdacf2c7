"""Configuration: its schema, the hash that names a run, objects from it, and suggestions for typing errors."""

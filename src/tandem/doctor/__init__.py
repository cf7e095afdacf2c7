"""What a report of a fault starts with: versions, devices, folders, extras, data, and a self-test of each command."""

from tandem.doctor.command import main

__all__ = ["main"]

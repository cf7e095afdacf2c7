"""Exports a run to one file: `python scripts/export.py --help`."""

from tandem.export import main

if __name__ == "__main__":
    main()

"""Writes the tables and the report of a study: `python scripts/study.py --help`."""

from tandem.study import main

if __name__ == "__main__":
    main()

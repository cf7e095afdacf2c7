"""Lists runs, compares two, removes failed ones: `python scripts/list_runs.py --help`."""

from tandem.list_runs import main

if __name__ == "__main__":
    main()

"""Makes the tables and the page of a study: `python scripts/study.py --help`."""

from tandem.study import main

if __name__ == "__main__":
    main()

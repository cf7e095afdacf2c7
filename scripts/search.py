"""Searches for the best hyperparameters: `python scripts/search.py --help`."""

from tandem.search import main

if __name__ == "__main__":
    main()

"""Reproduces a paper's tables and figures from scratch: `python scripts/reproduce.py --help`."""

from tandem.paper import main

if __name__ == "__main__":
    main()

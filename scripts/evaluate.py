"""Evaluates a finished run: `python scripts/evaluate.py --help`."""

from tandem.evaluate import main

if __name__ == "__main__":
    main()

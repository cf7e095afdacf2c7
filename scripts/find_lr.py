"""Suggests a learning rate: `python scripts/find_lr.py --help`."""

from tandem.find_lr import main

if __name__ == "__main__":
    main()

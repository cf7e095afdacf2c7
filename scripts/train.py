"""Trains a network: `python scripts/train.py --help`."""

from tandem.train import main

if __name__ == "__main__":
    main()

"""Writes a data set as shards: `python scripts/write_shards.py --help`."""

from tandem.write_shards import main

if __name__ == "__main__":
    main()

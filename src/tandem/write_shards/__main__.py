"""`python -m tandem.write_shards`: the command."""

from tandem.write_shards.command import main

if __name__ == "__main__":
    main()

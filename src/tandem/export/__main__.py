"""`python -m tandem.export`: the command."""

from tandem.export.command import main

if __name__ == "__main__":
    main()

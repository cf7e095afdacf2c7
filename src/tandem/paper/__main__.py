"""`python -m tandem.paper`: the command."""

from tandem.paper.command import main

if __name__ == "__main__":
    main()

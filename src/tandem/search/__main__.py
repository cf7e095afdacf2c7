"""`python -m tandem.search`: the command, as its own further processes are started."""

from tandem.search.command import main

if __name__ == "__main__":
    main()

"""`python -m tandem.search`: the command; a search with several processes starts itself this way."""

from tandem.search.command import main

if __name__ == "__main__":
    main()

"""`python -m tandem.study`: the command."""

from tandem.study.command import main

if __name__ == "__main__":
    main()

"""`python -m tandem.evaluate`: the command."""

from tandem.evaluate.command import main

if __name__ == "__main__":
    main()

"""`python -m tandem.predict`: the command."""

from tandem.predict.command import main

if __name__ == "__main__":
    main()

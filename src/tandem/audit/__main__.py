"""`python -m tandem.audit`: the command."""

from tandem.audit.command import main

if __name__ == "__main__":
    main()

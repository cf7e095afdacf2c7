"""`python -m tandem.plan`: the command."""

from tandem.plan.command import main

if __name__ == "__main__":
    main()

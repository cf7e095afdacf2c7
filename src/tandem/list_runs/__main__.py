"""`python -m tandem.list_runs`: the command."""

from tandem.list_runs.command import main

if __name__ == "__main__":
    main()

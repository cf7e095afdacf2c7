"""`python -m tandem.find_lr`: the command, as launchers start it in a separate process."""

from tandem.find_lr.command import main

if __name__ == "__main__":
    main()

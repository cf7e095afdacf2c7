"""`python -m tandem.train`: the command, as launchers start it in a separate process."""

from tandem.train.run import main

if __name__ == "__main__":
    main()

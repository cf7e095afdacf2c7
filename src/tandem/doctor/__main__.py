"""`python -m tandem.doctor`: the command."""

from tandem.doctor.command import main

if __name__ == "__main__":
    main()

"""`python -m tandem.show_data`: the command."""

from tandem.show_data.command import main

if __name__ == "__main__":
    main()

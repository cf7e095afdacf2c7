"""`python -m tandem.explain_loss`: the command."""

from tandem.explain_loss.command import main

if __name__ == "__main__":
    main()

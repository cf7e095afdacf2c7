"""Explains a loss by its curves and gradients: `python scripts/explain_loss.py --help`."""

from tandem.explain_loss import main

if __name__ == "__main__":
    main()

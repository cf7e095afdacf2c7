"""Plans a first good run from the data: `python scripts/plan.py --help`."""

from tandem.plan import main

if __name__ == "__main__":
    main()

"""Audits a data set: `python scripts/audit_data.py --help`."""

from tandem.audit import main

if __name__ == "__main__":
    main()

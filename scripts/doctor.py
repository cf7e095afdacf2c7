"""Reports versions, devices, folders and a self-test: `python scripts/doctor.py --help`."""

from tandem.doctor import main

if __name__ == "__main__":
    main()

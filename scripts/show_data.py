"""Shows original and augmented images: `python scripts/show_data.py --help`."""

from tandem.show_data import main

if __name__ == "__main__":
    main()

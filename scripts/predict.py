"""Predicts a folder of images with a run: `python scripts/predict.py --help`."""

from tandem.predict import main

if __name__ == "__main__":
    main()

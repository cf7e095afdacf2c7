"""The files of a run's folder: their names, and the version of what they hold."""

from pathlib import Path

from tandem.errors import DataError

RESULTS = "results.json"  # exists once the run has finished
BEST = "best.ckpt"  # checkpoint of the best epoch, with weights and thresholds
LAST = "last.ckpt"  # checkpoint from which an unfinished run resumes
PREVIOUS = "last.previous.ckpt"  # the one before, in case that the last is damaged
FAULTS = "faults.txt"  # every fault of refused data, a line each; the error names it, so it stays
DATA = "data.json"  # what is known about the data, with their fingerprint
FILES = "files.json"  # the files of the data: a digest of each, and their state when they were read
IDENTITY = "identity.json"  # hash of the run's configuration, and the run that it was resumed from
SPLITS_FILE = "splits.csv"  # the split of each image
FIND_LR = "find_lr.json"  # exists once a learning-rate search has finished, in its own folder
TRIALS = "trials.csv"  # the trials of a search, in its folder
PREDICTIONS = "predictions.csv"  # one row per image, in the folder of a prediction
PAPER = "paper.json"  # describes the archive of a paper
ENSEMBLE = "ensemble.json"  # the runs in a zip file of runs, and their hashes
MANIFEST = "manifest.json"  # how a folder of predictions, or of a paper, was made

METRICS = "metrics.csv"  # a row for each epoch
PERFORMANCE = "performance.json"  # how the run computes, where `performance` has chosen it
COMPUTED = "computed.json"  # options that were computed from the training data
DIGESTS = "artifacts.json"  # SHA-256 of these files

ARTIFACTS = (RESULTS, BEST, LAST, PREVIOUS, DATA, FILES, IDENTITY, METRICS, SPLITS_FILE, COMPUTED, PERFORMANCE)
"""Files whose digest is noted when they are written, and compared when they are read."""

SCHEMA_KEY = "tandem_schema"  # its place in a checkpoint
COMPUTING_KEY = "performance"  # place of what PERFORMANCE holds, in a checkpoint and in RESULTS
SCHEMA = 1
"""Version of what `results.json` and checkpoints hold; it rises when an older tandem could misread them."""


def check_schema(version: object, file: Path) -> None:
    """Rejects a file written by a later tandem, whose content this version could misread.

    Args:
        version: what the file says; files of tandem 0.1.0 say nothing, which counts as 0.
        file: its path, for the message.

    Raises:
        DataError: a later version, or no version at all.
    """
    if version is None:
        return
    if not isinstance(version, int) or isinstance(version, bool):
        raise DataError(f"{file} names the schema {version!r}, but a schema is a whole number; the file is damaged")
    if version > SCHEMA:
        raise DataError(
            f"{file} was written by a later tandem (schema {version}, this one reads up to {SCHEMA}); update"
        )

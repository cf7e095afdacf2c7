"""The values that an interval over runs counts: one for each seed, or one for each split where the splits differ."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from tandem.study.runs import Run
from tandem.study.statistics import summarise
from tandem.study.swept_params import Replicate


class Units(NamedTuple):
    """What an interval is computed from.

    Attributes:
        values: one for each seed, or the mean over seeds of each fold or split.
        overlap: n_test / n_train where the units are folds or splits, which share training images; 0 for seeds.
    """

    values: list[float]
    overlap: float


def units_of(values: Mapping[Replicate, float], runs: Mapping[Replicate, Run]) -> Units:
    """Values by seed and fold as units for `tandem.study.statistics.paired` and `t_interval`.

    Runs of several seeds on one split share its test images. Counted as independent they would make an interval too
    narrow, so that they are averaged first, and the folds or splits are the units.

    Args:
        values: of runs, by seed and fold.
        runs: of at least these seeds and folds.
    """
    by_data: dict[Replicate, list[float]] = {}
    for replicate, value in values.items():
        by_data.setdefault(data_part(replicate), []).append(value)
    if len(by_data) < 2:
        return Units(list(values.values()), 0.0)
    shared = {key: {part[key] for part in map(dict, by_data)} for key in dict(next(iter(by_data)))}
    resplit = any(len(found) > 1 and key.endswith(("fold", "split_seed")) for key, found in shared.items())
    overlap = max(overlap_of(runs[replicate].config["data"]) for replicate in values) if resplit else 0.0
    return Units([summarise(found).mean for found in by_data.values()], overlap)


def data_part(replicate: Replicate) -> Replicate:
    """What a replicate says of the data: fold, seed of the split, seed of synthetic data."""
    return tuple((key, value) for key, value in replicate if key != "seed")


def overlap_of(data: Mapping[str, Any]) -> float:
    """n_test / n_train, from the options of the data.

    Of k folds the test split has 1/k of the images, and `train / (train + val)` of the others are trained on. Without
    folds the ratio is that of `fractions`. Data without these options are taken to train on all images but the test
    split, and to test on a fifth.

    Args:
        data: the `data` part of a run's configuration; of mixed data the largest ratio of the sources counts.

    Example:
        >>> round(overlap_of({"folds": 4, "fractions": {"train": 0.6, "val": 0.15, "test": 0.25}}), 4)
        0.4167
        >>> overlap_of({"folds": 5})
        0.25
    """
    if sources := data.get("sources"):
        return max(overlap_of(source) for source in sources.values())
    fractions, folds = data.get("fractions") or {}, data.get("folds")
    train, val, test = (float(fractions.get(split, 0.0)) for split in ("train", "val", "test"))
    if folds:
        test = 1 / folds
        train = (1 - test) * (train / (train + val) if train else 1.0)
    return test / train if train and test else 0.25

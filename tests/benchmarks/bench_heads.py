"""A sweep of heads over one frozen encoder: a run that uses the features of those before it against the same run alone.

Linear probes of resnet18 on phantoms of 128 px, with learning rates and dropouts of their own, one after another in one
process, each with its folder, checkpoints and results: from the configuration to `results.json`. The first run with
`network.cache_features=true` computes the features, and has a row without a bar.
"""

import statistics
import time
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.harness import Row, at_least

import tandem
from tandem.network.feature_cache import forget
from tandem.train.run import train

EPOCHS, IMAGES = 10, 320

HEADS = tuple(product((1e-3, 3e-3, 1e-2), (0.0, 0.2)))
"""Learning rate and dropout of each run."""

ALONE = 3
"""How many of them are also trained without the features of others, which takes most of the time."""

BAR = 10.0
"""How many times as fast a run has to be."""

WORDS = (
    "experiment=tiny", "task=classification", "data.size=128", f"data.train={IMAGES}", f"data.val={IMAGES // 4}",
    "data.test=32", "network.backbone=resnet18", "network.freeze=encoder", "loader.batch_size=32",
    f"trainer.max_epochs={EPOCHS}", "logger=none", "callbacks.progress=null",
)  # fmt: skip


def rows() -> list[Row]:
    """Seconds of a run after the first one, of the first one, and of all."""
    return compared(HEADS, ALONE)


def compared(heads: tuple[tuple[float, float], ...], alone: int) -> list[Row]:
    """The rows of these heads.

    Args:
        heads: learning rate and dropout of each; at least two.
        alone: how many of them are trained without cached features.
    """
    forget()
    with TemporaryDirectory() as folder:
        seconds(folder, heads[0], cached=False, more=("trainer.max_epochs=1", "data.train=48", "data.val=24"))  # warm
        without = [seconds(folder, head, cached=False) for head in heads[:alone]]
        first, *later = [seconds(folder, head, cached=True) for head in heads]
    forget()
    theirs, ours = statistics.median(without), statistics.median(later)
    name, whole = "without cached features", len(heads)
    return [
        at_least("a run after the first", ours, name, theirs, BAR, "s"),
        _unlimited("the first run", first, name, theirs),
        _unlimited(f"{whole} runs", first + sum(later), name, whole * theirs),
    ]


def _unlimited(what: str, ours: float, peer: str, theirs: float) -> Row:
    return Row(what, f"{ours:.3g} s", f"{peer} {theirs:.3g} s", theirs / ours)


def seconds(folder: str, head: tuple[float, float], cached: bool, more: tuple[str, ...] = ()) -> float:
    """How long a run takes.

    Args:
        folder: of all runs.
        head: learning rate and dropout.
        cached: whether it uses the features of runs before it.
        more: further words of the command.
    """
    rate, dropout = head
    own = (f"optimizer.lr={rate}", f"tasks.classification.dropout={dropout}", f"network.cache_features={cached}")
    config = dict(tandem.compose([*WORDS, *own, *more, f"runs={folder}"]))
    start = time.perf_counter()
    train(config, Path(folder) / "-".join([*own, *more]))
    return time.perf_counter() - start

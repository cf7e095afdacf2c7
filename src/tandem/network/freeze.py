"""How long a network's encoder is held still, so that a new head does not undo what pretrained weights know."""

import math
import re

from tandem.errors import ConfigError

UNTIL = re.compile(r"until_epoch_([1-9]\d{0,8})")


def first_epoch(freeze: str) -> float:
    """The epoch, counted from 0, in which the encoder begins to learn: 0, k, or infinity where it never does.

    Args:
        freeze: `none`, `encoder`, or `until_epoch_k` with a whole k from 1: still in the epochs 0 to k - 1.

    Raises:
        ConfigError: another word.

    Source: gradual unfreezing of Howard and Ruder, Universal Language Model Fine-tuning for Text Classification, 2018,
    with two steps.

    Example:
        >>> first_epoch("none"), first_epoch("until_epoch_3"), first_epoch("encoder")
        (0, 3, inf)
    """
    if freeze in ("none", "encoder"):
        return 0 if freeze == "none" else math.inf
    if match := UNTIL.fullmatch(str(freeze)):
        return int(match[1])
    raise ConfigError(
        f"network.freeze is {freeze!r}, but must be none, encoder or until_epoch_k, such as until_epoch_3"
    )

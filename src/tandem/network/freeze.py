"""How long the encoder is frozen, so that an untrained head does not destroy pretrained weights."""

import math
import re

from tandem.errors import ConfigError

UNTIL = re.compile(r"until_epoch_([1-9]\d{0,8})")


def first_epoch(freeze: str) -> float:
    """Returns the first epoch, counted from 0, in which the encoder is trained: 0, k, or infinity if it never is.

    Args:
        freeze: `none`, `encoder` (always frozen), or `until_epoch_k`, k >= 1 (frozen in epochs 0 to k - 1).

    Raises:
        ConfigError: if it is none of these.

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

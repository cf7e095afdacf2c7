"""The option `windows`, read before heavy libraries are imported."""

from typing import Any

from tandem.errors import ConfigError

NONE, AUTO = "none", "auto"

USUAL = 0.5
"""Share of a window that its neighbour covers too with `auto`: nnU-Net's step of half a window (Isensee et al., 2021)
along each axis."""


def read_windows(value: Any) -> float | None:
    """Reads the option: the share of a window that its neighbour covers too; None for no windows.

    Args:
        value: `none`, `auto`, or a number in [0, 1).

    Raises:
        ConfigError: it is none of these.

    Example:
        >>> read_windows("none"), read_windows("auto"), read_windows(0.25)
        (None, 0.5, 0.25)
    """
    if value in (None, NONE):
        return None
    if value == AUTO:
        return USUAL
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ConfigError(
            f"windows is {value!r}, but must be none, auto ({USUAL}), or the share in [0, 1) that neighbours overlap"
        )
    return float(value)

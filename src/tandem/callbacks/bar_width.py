"""What of a progress bar fits into a line of a terminal."""

from collections.abc import Mapping

NARROW = 100
"""Columns below which the bar has no speed."""

BAR = 12
"""Columns of the bar itself."""

FIXED = len("0:00:00 • 0:00:00") + len("100.00it/s") + BAR + 6
"""Columns of times, speed, bar, and the spaces between all parts."""

Shown = Mapping[str, int | str | float | dict[str, float]]


def room(width: int, epochs: int, batches: float) -> int:
    """Columns that are left for values.

    Args:
        width: of the terminal.
        epochs: number of epochs.
        batches: number of batches in an epoch.

    Example:
        >>> room(100, 24, 75), room(80, 24, 75)
        (39, 29)
    """
    taken = max(len(f"Epoch {epochs}/{epochs}"), len("Validation")) + len(f"{batches:.0f}/{batches:.0f}") + FIXED
    return width - taken + (len("100.00it/s") if width < NARROW else 0)


def fitting(values: Shown, columns: int, digits: int = 3) -> dict[str, int | str | float | dict[str, float]]:
    """The values that fit, in their order: the mark of a collapse first, then the loss, then scores, then other losses.

    Args:
        values: by name.
        columns: for all of them.
        digits: of a number.

    Example:
        >>> fitting({"loss": 1.5, "seg loss": 0.5, "seg dice": 0.25}, 32)
        {'loss': 1.5, 'seg dice': 0.25}
    """
    losses = [name for name in values if name.endswith(" loss")]
    ranked = [*(name for name in ("!", "loss") if name in values)]
    ranked += [name for name in values if name not in losses and name not in ranked]
    kept: list[str] = []
    for name in (*ranked, *losses):
        value = values[name]
        length = len(f"{name}: {value:.{digits}f} " if isinstance(value, float) else f"{name}: {value} ")
        if length <= columns + 1:  # the last value has no space behind it
            kept.append(name)
            columns -= length
    return {name: value for name, value in values.items() if name in kept}

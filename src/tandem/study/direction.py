"""Whether more or less of a metric is better."""

LESS = frozenset({"loss", "hd95", "area_error", "brier", "calibration_error", "mae", "mse", "rmse"})
NEITHER = frozenset({"threshold", "area_bias"})


def direction(name: str) -> int:
    """1 where more is better, -1 where less is, 0 where neither is.

    Args:
        name: as it is logged, such as `test/segmentation/dice` or `val/loss`.

    Example:
        >>> direction("test/segmentation/dice"), direction("val/age/mae"), direction("val/segmentation/threshold")
        (1, -1, 0)
    """
    parts = name.split("/")[1:]
    if NEITHER.intersection(parts):
        return 0
    return -1 if LESS.intersection(parts) else 1

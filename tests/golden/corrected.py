"""Numbers that 0.1.0 computed less exactly than today: goldens do not compare them."""

from typing import Any

CORRECTED = {
    "segmentation/pixel_auroc": "bins of a fixed width were off by up to .23; they adapt to the probabilities now",
    "segmentation/pixel_ap": "the same bins, off by up to .47",
    "classification/mcc": "from own counts in float64, which moves the last digit",
}
"""By name without the stage, and why."""


def comparable(metrics: dict[str, Any]) -> dict[str, Any]:
    """Those with a value that 0.1.0 computed as it is computed today."""
    corrected = {f"{stage}/{key}" for stage in ("train", "val", "test") for key in CORRECTED}
    return {key: value for key, value in metrics.items() if value is not None and key not in corrected}

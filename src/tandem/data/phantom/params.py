"""Options of phantom images, checked once, with errors that name the option."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real

from tandem.errors import ConfigError

CLASSES = ("normal", "benign", "malignant")
MIN_LESION_PIXELS = 30
"""With fewer pixels, a contour cannot be smooth or spiculated."""

MAX_LESION_AREA = 0.2
"""A larger lesion with spicules would not fit between the skin and the lower border."""


def whole(key: str, value: object, low: int, high: int | None = None) -> int:
    """Checks a whole number in [low, high] (no upper bound if `high` is None).

    Raises:
        ConfigError: any other value; the message names the key.
    """
    number = int(value) if isinstance(value, Integral) and not isinstance(value, bool) else None
    if number is None or number < low or (high is not None and number > high):
        top = "" if high is None else f" and <= {high}"
        raise ConfigError(f"data.{key} is {value!r}, but must be a whole number >= {low}{top}")
    return number


def share(key: str, value: object, low: float = 0.0, high: float = 1.0) -> float:
    """Checks a number in [low, high].

    Raises:
        ConfigError: any other value, nan included; the message names the key.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not low <= float(value) <= high:
        raise ConfigError(f"data.{key} is {value!r}, but must be a number >= {low:g} and <= {high:g}")
    return float(value)


def shares(key: str, values: object, names: Sequence[str], high: float = 1.0) -> tuple[float, ...]:
    """Checks a list of numbers in [0, high], one per name.

    Raises:
        ConfigError: not a list, another length, or an entry out of range; the message names the key.
    """
    if isinstance(values, str) or not isinstance(values, Sequence) or len(values) != len(names):
        raise ConfigError(f"data.{key} is {values!r}, but must be a list of {len(names)} numbers: {', '.join(names)}")
    return tuple(share(f"{key}[{i}]", value, high=high) for i, value in enumerate(values))


@dataclass(frozen=True)
class PhantomParams:
    """Options that determine how an image looks, apart from its random numbers.

    Attributes:
        size: height and width in pixels, 32 to 1024.
        class_probabilities: of normal, benign and malignant; each in [0, 1], summing to one.
        lesion_area: smallest and largest lesion, as a share of the image; at least 30 pixels and at most 0.2.
        contrast: how much darker than the tissue around it a lesion may be, in [0, 1]: 0 not at all, 1 black.
        noise: share of speckle in the echo's amplitude, in [0, 1]: 0 none, 1 fully developed.
        images_each: consecutive images that show one person: tissue, shadows, class and lesion are the same, speckle,
            attenuation and gain are not; at least 1.

    Raises:
        ConfigError: an option is out of range; one line names it.
    """

    size: int = 64
    class_probabilities: Sequence[float] = (1 / 3, 1 / 3, 1 / 3)
    lesion_area: Sequence[float] = (0.04, 0.15)
    contrast: float = 0.8
    noise: float = 0.6
    images_each: int = 1

    def __post_init__(self) -> None:
        """Checks every value and stores tuples, so that equal options compare and hash equal."""
        size = whole("size", self.size, 32, 1024)
        probabilities = shares("class_probabilities", self.class_probabilities, CLASSES)
        if not math.isclose(total := math.fsum(probabilities), 1, abs_tol=1e-6):
            raise ConfigError(
                f"data.class_probabilities is {list(probabilities)}, which sums to {total:g}, but must sum to 1: "
                "divide each by the sum"
            )
        area = shares("lesion_area", self.lesion_area, ("smallest", "largest"), high=MAX_LESION_AREA)
        if area[0] > area[1]:
            raise ConfigError(f"data.lesion_area is {list(area)}, but the smallest must come before the largest")
        if area[0] * size**2 < MIN_LESION_PIXELS:
            least = math.ceil(MIN_LESION_PIXELS / size**2 * 1e4) / 1e4
            raise ConfigError(
                f"data.lesion_area[0] is {area[0]:g}, but must be >= {least:g} at data.size={size}, "
                f"which is {MIN_LESION_PIXELS} pixels"
            )
        checked = {
            "size": size,
            "class_probabilities": probabilities,
            "lesion_area": area,
            "contrast": share("contrast", self.contrast),
            "noise": share("noise", self.noise),
            "images_each": whole("images_each", self.images_each, 1),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

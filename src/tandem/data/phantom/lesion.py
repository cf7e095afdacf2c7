r"""Lesions: contour, interior, edge, and their effect on the tissue behind them.

A contour is a radius as a function of direction. The "diamond angle" parametrises directions: the position on the
square |x| + |y| = 1, which has the same order as the angle but needs a quotient instead of an arc tangent.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tandem.data.loading.counter_rng import Float64s, UInt64s, uniform
from tandem.data.phantom.fields import Field, Floats, between, bump, centres, lookup, ordered_sum, pixel_field, ramp
from tandem.data.phantom.streams import Stream

_BINS = 512
_KNOTS = 14
_MOST_SPICULES = 10
_TOP, _BOTTOM, _SIDE = 0.12, 0.92, 0.03  # bounds of a lesion: below the skin, and away from the image's borders
_OWN = 0.35  # share of a lesion's echo that is its own, so that the tissue layers show through only in part


@dataclass(frozen=True)
class Lesions:
    """The lesions of n images.

    Attributes:
        masks: (n, H, W), true inside the contour.
        factor: (n, H, W) factor of the tissue's echo amplitude, above 0.
        own: (n, H, W) echo amplitude of the lesion itself, to be added; it replaces part of the tissue's structure.
    """

    masks: NDArray[np.bool_]
    factor: Field
    own: Field


def lesions(
    keys: UInt64s, malignant: NDArray[np.bool_], size: int, area: tuple[float, float], contrast: float
) -> Lesions:
    """Draws one lesion per image.

    Benign and malignant lesions have the same distributions of area, position and darkness. They differ in contour
    (smooth and oval, or irregular with spicules), in aspect ratio (wider than tall, or often taller than wide), in edge
    (sharp, or soft with a bright halo) and, on average, in the tissue behind them (enhancement, or a shadow).

    Args:
        keys: (n,) keys of the images.
        malignant: (n,) whether each lesion is malignant.
        size: height and width in pixels.
        area: smallest and largest area as a share of the image.
        contrast: how much darker than its surroundings the darkest lesion is, in [0, 1].

    Returns:
        Masks, factors and own echoes.
    """
    directions = _directions()
    radius = _contours(keys, malignant, directions)
    place = uniform(keys, Stream.PLACE, 3)
    target = between(place[:, 0], *area)
    radius *= np.sqrt(target / _enclosed(radius, directions))[:, None]
    dx, dy = _offsets(radius, directions, place[:, 1:], size)
    inside = _signed_depth(radius, dx, dy)
    factor, own = _echo(keys, malignant, inside, contrast)
    return Lesions(inside > 0, factor, own)


def _directions() -> Floats:
    """Unit vectors, (2, bins), by increasing diamond angle, starting upwards and clockwise as seen on the screen."""
    turn = centres(_BINS) * 4 - 1
    right = turn < 1
    y = np.where(right, turn, 2 - turn)
    x = np.where(right, 1, -1) * (1 - np.abs(y))
    units: Floats = np.stack((x, y)) / np.sqrt(x * x + y * y)
    return units


def _contours(keys: UInt64s, malignant: NDArray[np.bool_], directions: Floats) -> Floats:
    """Radii, (n, bins), at arbitrary scale: an ellipse with random dents, and spicules if malignant."""
    draw = uniform(keys, Stream.SHAPE, 4)
    aspect = np.where(malignant, between(draw[:, 0], 0.65, 1.35), between(draw[:, 0], 1.2, 1.9))[:, None]
    slope = between(draw[:, 1:2], -0.4, 0.4)
    x, y = directions
    along, across = (x + slope * y) / aspect, y - slope * x
    oval = 1 / np.sqrt(along * along + across * across)
    dents = np.where(malignant, between(draw[:, 2], 0.12, 0.25), between(draw[:, 2], 0.0, 0.04))[:, None]
    radius: Floats = oval * (1 + dents * _ring(uniform(keys, Stream.RING, _KNOTS)))
    spiky = np.flatnonzero(malignant)
    radius[spiky] *= 1 + _spicules(keys[spiky], draw[spiky, 3])
    return radius


def _ring(nodes: Float64s) -> Floats:
    """Smooth closed curves, (n, bins) in [-1, 1], through random heights around the contour."""
    position = centres(_BINS) * _KNOTS
    knot = np.floor(position).astype(np.intp)
    place = position - knot
    left, right = nodes[:, knot], nodes[:, (knot + 1) % _KNOTS]
    heights: Floats = 2 * (left + (right - left) * (place * place * (3 - 2 * place))) - 1
    return heights


def _spicules(keys: UInt64s, crowd: Float64s) -> Floats:
    """Lengths, (n, bins) in radii, of 6 to 10 pointed spicules, each at a random position in its sector."""
    number = np.floor(between(crowd, 6, _MOST_SPICULES + 1))[:, None]
    draw = uniform(keys, Stream.SPICULES, 2 * _MOST_SPICULES)
    position = centres(_BINS) * number
    sector = np.floor(position).astype(np.intp)
    middle = between(np.take_along_axis(draw, sector, axis=1), 0.35, 0.65)
    length = between(np.take_along_axis(draw, sector + _MOST_SPICULES, axis=1), 0.3, 1.0)
    near = np.maximum(1 - np.abs(position - sector - middle) / 0.38, 0)
    return length * near


def _enclosed(radius: Floats, directions: Floats) -> Floats:
    """Areas, (n,), of the polygons through the contours' points (shoelace formula)."""
    x, y = radius * directions[0], radius * directions[1]
    return np.abs(ordered_sum(x * np.roll(y, -1, axis=1) - y * np.roll(x, -1, axis=1))) / 2


def _offsets(radius: Floats, directions: Floats, place: Float64s, size: int) -> tuple[Field, Field]:
    """Offsets, (n, W) and (n, H), of pixels from the lesion's centre, which is drawn so that the lesion fits."""
    offsets = []
    for axis, (first, last) in enumerate(((_SIDE, 1 - _SIDE), (_TOP, _BOTTOM))):
        reach = radius * directions[axis]
        low, high = first - reach.min(axis=1), last - reach.max(axis=1)
        centre = low + place[:, axis] * (high - low)
        offsets.append(pixel_field(centres(size) - centre[:, None]))
    return offsets[0], offsets[1]


def _signed_depth(radius: Floats, dx: Field, dy: Field) -> Field:
    """Distance, (n, H, W), from pixel to contour along the ray from the centre, in image sides; positive inside."""
    across, down = np.abs(dx), np.abs(dy)
    steep = dy[:, :, None] / np.maximum(across[:, None, :] + down[:, :, None], np.float32(1e-9))
    turn = np.where(dx[:, None, :] < 0, np.float32(2) - steep, steep)
    turn += np.float32(1)
    turn *= np.float32(0.25)
    inside = lookup(pixel_field(radius), turn)
    inside -= np.sqrt((dx * dx)[:, None, :] + (dy * dy)[:, :, None])
    return inside


def _echo(keys: UInt64s, malignant: NDArray[np.bool_], inside: Field, contrast: float) -> tuple[Field, Field]:
    """Factor and own echo, (n, H, W): darker inside, a bright rim, and a shadow or enhancement behind the lesion."""
    draw = uniform(keys, Stream.ECHO, 5)
    dark = contrast * between(draw[:, 0], 0.7, 1.0)
    soft = np.where(malignant, between(draw[:, 1], 0.015, 0.035), between(draw[:, 1], 0.008, 0.016))
    rim = between(draw[:, 2], 0.0, 0.4)
    rim_width = np.where(malignant, 0.04, 0.025)
    body = ramp(inside * pixel_field(1 / soft)[:, None, None])
    loss, gain = _behind(malignant, draw[:, 3], draw[:, 4])
    path = np.cumsum(body, axis=1)
    path *= np.float32(1 / inside.shape[1])
    path *= np.float32(1) - body
    factor = np.float32(1) - body * pixel_field(1 - (1 - dark) * (1 - _OWN))[:, None, None]
    away = inside * pixel_field(1 / rim_width)[:, None, None]
    away *= away
    factor += bump(away) * pixel_field(rim)[:, None, None]
    factor *= np.float32(1) + path * pixel_field(gain)[:, None, None]
    factor /= np.float32(1) + path * pixel_field(loss)[:, None, None]
    body *= pixel_field((1 - dark) * _OWN)[:, None, None]
    return factor, body


def _behind(malignant: NDArray[np.bool_], kind: Float64s, strength: Float64s) -> tuple[Floats, Floats]:
    """Loss and gain of sound, (n,) each, per path length through the lesion; at most one of them is above 0.

    7 of 10 malignant and 2 of 10 benign lesions have a shadow; 1 of 10 and 5 of 10 have an enhancement.
    """
    shadow = kind < np.where(malignant, 0.7, 0.2)
    more = kind >= np.where(malignant, 0.9, 0.5)
    return shadow * between(strength, 2.0, 8.0), more * between(strength, 1.0, 3.0)

"""Breast tissue without a lesion: layers, texture, and distractors that resemble a lesion."""

import numpy as np
from numpy.typing import NDArray

from tandem.data.loading.counter_rng import Float64s, UInt64s, uniform
from tandem.data.phantom.fields import Field, between, bump, centres, clouds, decay, lookup, pixel_field, ramp, wave
from tandem.data.phantom.streams import Stream

_PROFILE_BINS = 512
_LOBULES = 4
_SPOTS = 4
_SEPTA = 2
_SHADOWS = 2


def tissue(keys: UInt64s, size: int) -> Field:
    """Draws echo amplitudes of layered tissue with dark lobules, vessels, bright spots and bright septa.

    From the probe downwards: skin (bright), fat (dark), gland (bright), a fascia (a bright line) and muscle (dark).

    Args:
        keys: (N,) keys of the images.
        size: height and width in pixels.

    Returns:
        (N, size, size) amplitudes, above 0, about 1 in the gland.
    """
    bend = wave(between(uniform(keys, Stream.BEND, 6), -0.06, 0.06), size)
    depth = pixel_field(centres(size))[:, None] + bend[:, None, :]
    echo = lookup(_profile(keys), depth)
    echo *= _texture(keys, size)
    _darken_lobules(echo, depth, keys)
    _brighten_septa(echo, keys)
    _brighten_spots(echo, keys)
    return echo


def attenuation(keys: UInt64s, size: int) -> Field:
    """Returns the echo that remains at each depth, (N, size, 1), after the scanner compensates part of the loss."""
    nepers = between(uniform(keys, Stream.GAIN, 2)[:, 1:], 0.5, 1.6)
    return pixel_field(decay(nepers * centres(size)))[:, :, None]


def shade(echo: Field, keys: UInt64s) -> None:
    """Darkens bands below a random depth, in place: shadows of poor contact, ribs and ligaments, not of lesions.

    The first band of an image begins at its first bright spot, as below a calcification.
    """
    size = echo.shape[-1]
    draw = uniform(keys, Stream.SHADOWS, 5 * _SHADOWS).reshape(-1, _SHADOWS, 5)
    spots = uniform(keys, Stream.SPOTS, 2)
    x, y = draw[:, :, 0].copy(), between(draw[:, :, 1], 0.05, 0.6)
    x[:, 0], y[:, 0] = spots[:, 0], between(spots[:, 1], 0.1, 0.9)
    width = between(draw[:, :, 2], 0.05, 0.14)
    strength = between(draw[:, :, 3], 0.35, 0.75) * (draw[:, :, 4] < 0.6)
    for k in range(_SHADOWS):
        across = bump(_squares(x[:, k], width[:, k], size)) * pixel_field(strength[:, k, None])
        below = ramp(pixel_field((centres(size) - y[:, k, None]) / 0.1))
        echo *= np.float32(1) - across[:, None, :] * below[:, :, None]


def _squares(centre: Float64s, radius: Float64s, size: int) -> Field:
    """Squared distances, (N, size), of pixels from a centre along one axis, in radii; arguments are (N,)."""
    distance = (centres(size) - centre[:, None]) / radius[:, None]
    return pixel_field(distance * distance)


def _profile(keys: UInt64s) -> Field:
    """Amplitude as a function of depth, (N, bins): layers with soft borders."""
    draw = uniform(keys, Stream.LAYERS, 8)
    depth = pixel_field(centres(_PROFILE_BINS))
    borders = between(draw[:, :3], (0.05, 0.18, 0.68), (0.08, 0.32, 0.88))
    skin, fat, gland, muscle = between(draw[:, 3:7], (1.2, 0.35, 0.85, 0.4), (1.8, 0.6, 1.15, 0.7)).T[:, :, None]
    profile = np.zeros((len(keys), _PROFILE_BINS), dtype=np.float32) + pixel_field(skin)
    for k, (step, soft) in enumerate(((fat - skin, 0.02), (gland - fat, 0.08), (muscle - gland, 0.03))):
        profile += pixel_field(step) * ramp((depth - pixel_field(borders[:, k, None])) / np.float32(soft))
    fascia = (depth - pixel_field(borders[:, 2, None])) / np.float32(0.025)
    profile += pixel_field(between(draw[:, 7:], 0.2, 1.2)) * bump(fascia * fascia)
    return profile


def _texture(keys: UInt64s, size: int) -> Field:
    """Factors around 1, (N, size, size): patches of tissue, wider than deep, with finer fibres on top."""
    coarse = clouds(between(uniform(keys, Stream.COARSE, 10 * 6), 0.45, 1.55).reshape(-1, 10, 6), size)
    fine = clouds(between(uniform(keys, Stream.FINE, 30 * 12), 0.65, 1.35).reshape(-1, 30, 12), size)
    coarse *= fine
    return coarse


def _darken_lobules(echo: Field, depth: Field, keys: UInt64s) -> None:
    """Draws flat dark lobules of fat that follow the layers, and one small dark round vessel, in place."""
    size = echo.shape[-1]
    draw = uniform(keys, Stream.LOBULES, 6 * _LOBULES).reshape(-1, _LOBULES, 6)
    x, y = draw[:, :, 0], between(draw[:, :, 1], 0.12, 0.9)
    wide, high = between(draw[:, :, 2], 0.1, 0.22), between(draw[:, :, 3], 0.025, 0.05)
    wide[:, 0], high[:, 0] = (between(draw[:, 0, k], 0.025, 0.04) for k in (2, 2))
    dark = between(draw[:, :, 4], 0.4, 0.75) * (draw[:, :, 5] < 0.7)
    for k in range(_LOBULES):
        away = depth - pixel_field(y[:, k, None, None])
        away *= pixel_field(1 / high[:, k, None, None])
        away *= away
        away += _squares(x[:, k], wide[:, k], size)[:, None, :]
        echo *= np.float32(1) - ramp((np.float32(1) - away) * np.float32(1.5)) * pixel_field(dark[:, k, None, None])


def _brighten_septa(echo: Field, keys: UInt64s) -> None:
    """Draws thin bright curves across the image (Cooper's ligaments), in place."""
    size = echo.shape[-1]
    draw = uniform(keys, Stream.SEPTA, 8 * _SEPTA).reshape(-1, _SEPTA, 8)
    bright = between(draw[:, :, 0], 0.2, 0.9) * (draw[:, :, 1] < 0.7)
    y = pixel_field(centres(size))[:, None]
    for k in range(_SEPTA):
        middle = between(draw[:, k, 2:3], 0.15, 0.8)
        curve = wave(middle + between(draw[:, k, 3:8], -0.1, 0.1), size)
        away = (y - curve[:, None, :]) * np.float32(1 / 0.025)
        away *= away
        echo += bump(away) * pixel_field(bright[:, k, None, None])


def _brighten_spots(echo: Field, keys: UInt64s) -> None:
    """Draws small bright reflectors, wider than deep, in place."""
    size = echo.shape[-1]
    draw = uniform(keys, Stream.SPOTS, 5 * _SPOTS)
    places: NDArray[np.float64] = draw[:, : 2 * _SPOTS].reshape(-1, _SPOTS, 2)
    looks = draw[:, 2 * _SPOTS :].reshape(-1, _SPOTS, 3)
    x, y = places[:, :, 0], between(places[:, :, 1], 0.1, 0.9)
    wide, high = between(looks[:, :, 0], 0.03, 0.07), between(looks[:, :, 1], 0.02, 0.035)
    bright = between(looks[:, :, 2], 0.0, 2.5)
    for k in range(_SPOTS):
        across = bump(_squares(x[:, k], wide[:, k], size)) * pixel_field(bright[:, k, None])
        echo += across[:, None, :] * bump(_squares(y[:, k], high[:, k], size))[:, :, None]

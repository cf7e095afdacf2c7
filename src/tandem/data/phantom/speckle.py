"""Speckle: the granular interference pattern of images made with coherent waves."""

import math

import numpy as np
from numpy.typing import NDArray

from tandem.data.loading.counter_rng import UInt64s, bits
from tandem.data.phantom.fields import Field, pixel_field
from tandem.data.phantom.streams import Stream

_AXIAL = (1, 2, 1)
_LATERAL = (1, 4, 6, 4, 1)
_TOP = 0xFFFF


def _blurred(values: NDArray[np.int32]) -> NDArray[np.int32]:
    """Filters with the weights 1 2 1 in depth and 1 4 6 4 1 across: a beam is wider than its pulse is long."""
    for _ in range(len(_AXIAL) - 1):
        values = values[:, 1:] + values[:, :-1]
    for _ in range(len(_LATERAL) - 1):
        values = values[:, :, 1:] + values[:, :, :-1]
    return values


def speckle(keys: UInt64s, size: int) -> Field:
    r"""Fully developed speckle with mean one: \(A = \sqrt{R^2 + I^2}\), Rayleigh distributed.

    The echo of a resolution cell is the sum of many scatterers with random phases, so its real part R and its imaginary
    part I are normal, and its amplitude A is Rayleigh distributed, with a ratio of mean to standard deviation of 1.91
    (Burckhardt, "Speckle in ultrasound B-mode scans", IEEE Trans. Sonics Ultrason. 25, 1978). R and I are computed
    alike, as weighted sums of 30 uniform numbers each. This makes the distribution Rayleigh to within 0.01 and sets the
    size of the speckles: about 2 pixels deep and 3 wide.

    Args:
        keys: (N,) keys of the images.
        size: height and width in pixels.

    Returns:
        (N, size, size) amplitudes, at least 0.
    """
    shape = (len(keys), size + len(_AXIAL) - 1, size + len(_LATERAL) - 1)
    words = bits(keys, Stream.SPECKLE, shape[1] * shape[2]).reshape(shape)
    quarters = [((words >> np.uint64(shift)) & np.uint64(_TOP)).astype(np.int32) for shift in (48, 32, 16, 0)]
    real = pixel_field(_blurred(quarters[0] - quarters[1]))
    imaginary = pixel_field(_blurred(quarters[2] - quarters[3]))
    real *= real
    imaginary *= imaginary
    real += imaginary
    amplitude = np.sqrt(real, out=real)
    amplitude *= np.float32(1 / _mean_amplitude())
    return amplitude


def _mean_amplitude() -> float:
    r"""Mean of the unscaled amplitude, \(\sigma\sqrt{\pi/2}\), where \(\sigma\) is that of the weighted sums."""
    weights = sum(a * a for a in _AXIAL) * sum(b * b for b in _LATERAL)
    difference_of_two = 2 * ((_TOP + 1) ** 2 - 1) / 12
    return math.sqrt(weights * difference_of_two * math.pi / 2)

"""Random numbers for each pixel, as a pure function of two random numbers of its row, on any device.

They are a 32-bit hash of (row, purpose, pixel): the two-round multiply-xorshift mixer of Wellons ("Prospecting for hash
functions", 2018), with improved constants found later. Multipliers are below 2^31, so that int64 does not overflow.
"""

import math

import torch
from torch import Tensor

WORD = 0xFFFFFFFF
GOLDEN = 0x9E3779B9


def mix(words: Tensor) -> Tensor:
    """Scrambles words below 2^32, held in int64; a bijection."""
    words = words ^ (words >> 16)
    words = (words * 0x21F0AAAD) & WORD
    words = words ^ (words >> 15)
    words = (words * 0x735A2D97) & WORD
    return words ^ (words >> 15)


def uniform_field(pair: Tensor, purpose: int, count: int) -> Tensor:
    """Draws uniform numbers strictly between 0 and 1, independent for each row, purpose and position.

    Args:
        pair: (N, 2) random numbers in [0, 1), two for each row.
        purpose: number of the stream; distinguishes several fields of one row.
        count: numbers for each row.

    Returns:
        (N, count) float32.
    """
    first, second = (pair.double() * 2**24).long().unbind(1)
    key = mix(mix((first + purpose * GOLDEN) & WORD) ^ second)
    place = mix(torch.arange(count, device=pair.device))
    words = mix(key[:, None] ^ place[None])
    return ((words >> 9).float() + 0.5) * 2.0**-23  # 24 bits, so neither 0 nor 1


def normal_field(pair: Tensor, purpose: int, count: int) -> Tensor:
    """Draws standard normal numbers with the inverse distribution function; arguments as in `uniform_field`."""
    return torch.erfinv(2 * uniform_field(pair, purpose, count) - 1) * math.sqrt(2)

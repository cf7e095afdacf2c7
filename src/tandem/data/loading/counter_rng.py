r"""Random numbers as a pure function of a key and a counter.

They have no state, so the order of calls and the number of workers do not matter.

The generator is SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014)
in counter mode: its n-th output is `mix(state + n * GAMMA)`, so any output can be computed without the previous ones.
All arithmetic is on integers modulo \(2^{64}\), followed by one exact scaling, so the numbers are the same on every
machine.

A row's numbers depend on its key and on a `stream` number, one for each purpose; a longer draw extends a shorter one:

    row_keys = keys(seed, "augment", epoch * len(split) + rows)
    flips = uniform(row_keys, stream=0, count=2)    # (N, 2)
    angles = uniform(row_keys, stream=1, count=1)   # (N, 1), independent of the flips
"""

import hashlib

import numpy as np
from numpy.typing import ArrayLike, NDArray

UInt64s = NDArray[np.uint64]
Float64s = NDArray[np.float64]

_WORD = 2**64
_GAMMA = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio, odd: the step between the states of SplitMix64
_STREAM = 0xD1B54A32D192ED03  # another odd constant, so that streams of one key are not shifted copies of each other


def mix(values: UInt64s) -> UInt64s:
    """Scrambles 64-bit words so that each input bit flips each output bit with a probability near one half.

    The finaliser of SplitMix64 ("variant 13" of Stafford's mixers). It is a bijection: different words stay different.

    Args:
        values: words of any shape; not modified.

    Returns:
        The scrambled words, in the same shape.
    """
    words = values ^ (values >> np.uint64(30))
    words *= np.uint64(0xBF58476D1CE4E5B9)
    words ^= words >> np.uint64(27)
    words *= np.uint64(0x94D049BB133111EB)
    words ^= words >> np.uint64(31)
    return words


def splitmix64(states: UInt64s, count: int) -> UInt64s:
    """Returns the first outputs of SplitMix64 for each of several initial states.

    Args:
        states: (N,) initial states ("seeds" of the generator).
        count: outputs per state, at least 0.

    Returns:
        (N, count) words; column n is `mix(state + (n + 1) * GAMMA)`.
    """
    steps = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_GAMMA)
    return mix(states[:, None] + steps)


def keys(seed: int, stream: str, index: ArrayLike) -> UInt64s:
    """Returns one key for each index of a named sequence; different indices of a sequence always get different keys.

    Args:
        seed: the user's seed, any whole number (taken modulo 2^64).
        stream: name of the sequence, such as "phantom/train"; sequences of different names are independent.
        index: (N,) whole numbers; negative ones are taken modulo 2^64.

    Returns:
        (N,) keys.

    Raises:
        TypeError: an index is not a whole number.
    """
    numbers = np.atleast_1d(np.asarray(index))
    if not np.issubdtype(numbers.dtype, np.integer):
        raise TypeError(f"keys need whole numbers as index, but got {numbers.dtype}")
    name = int.from_bytes(hashlib.sha256(stream.encode()).digest()[:8], "big")
    root = mix(mix(np.array([seed % _WORD], dtype=np.uint64)) ^ np.uint64(name))
    return mix(root + numbers.astype(np.uint64) * np.uint64(_GAMMA))


def bits(keys: UInt64s, stream: int, count: int) -> UInt64s:
    """Draws random 64-bit words, `count` for each key.

    Args:
        keys: (N,) keys, one per row.
        stream: number of the purpose; draws of different streams are independent.
        count: words per key, at least 0.

    Returns:
        (N, count) words; row r depends on `keys[r]` and `stream` alone, and its first words do not depend on `count`.
    """
    return splitmix64(mix(keys + np.uint64(stream * _STREAM % _WORD)), count)


def uniform(keys: UInt64s, stream: int, count: int) -> Float64s:
    """Draws uniform random numbers, `count` for each key: the upper 53 bits of `bits`, scaled exactly.

    Args:
        keys: (N,) keys, one per row.
        stream: number of the purpose; draws of different streams are independent.
        count: numbers per key, at least 0.

    Returns:
        (N, count) numbers in [0, 1), multiples of 2^-53.
    """
    fractions: Float64s = (bits(keys, stream, count) >> np.uint64(11)).astype(np.float64)
    fractions *= 2.0**-53
    return fractions

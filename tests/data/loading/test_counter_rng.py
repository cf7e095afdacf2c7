import numpy as np
import pytest

from tandem.data.loading.counter_rng import bits, keys, mix, splitmix64, uniform


def test_outputs_are_those_of_the_published_generator() -> None:
    # The reference implementation's first outputs for the state 1234567 (Vigna, splitmix64.c).
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert splitmix64(np.array([1234567], dtype=np.uint64), 5)[0].tolist() == expected


def test_keys_and_draws_never_change() -> None:
    assert keys(0, "phantom/train", [0, 1]).tolist() == [16157827956541374015, 6717844594661776649]
    assert uniform(keys(7, "augment", 3), stream=2, count=2).tolist() == [[0.33655042473363017, 0.16585876744173578]]


def test_mixing_is_a_bijection_and_does_not_modify_its_argument() -> None:
    words = np.arange(10_000, dtype=np.uint64)
    assert len(np.unique(mix(words))) == len(words)
    assert words[5] == 5


def test_a_row_depends_on_its_own_key_alone() -> None:
    row_keys = keys(3, "augment", np.arange(50))
    whole = uniform(row_keys, 4, 6)
    some = np.array([31, 2, 2, 49])
    np.testing.assert_array_equal(uniform(row_keys[some], 4, 6), whole[some])


def test_a_longer_draw_extends_a_shorter_one() -> None:
    row_keys = keys(3, "augment", np.arange(5))
    np.testing.assert_array_equal(uniform(row_keys, 1, 9)[:, :4], uniform(row_keys, 1, 4))
    assert uniform(row_keys, 1, 0).shape == (5, 0)


def test_seed_name_index_and_stream_all_matter() -> None:
    draws = [
        uniform(keys(seed, name, index), stream, 1).item()
        for seed in (0, 1, 2**63)
        for name in ("a", "b")
        for index in (-1, 0, 1, 2**62)
        for stream in range(4)
    ]
    assert len(set(draws)) == len(draws)


def test_any_whole_number_is_a_seed() -> None:
    assert keys(-1, "a", 0) == keys(2**64 - 1, "a", 0)


def test_a_fractional_index_is_refused() -> None:
    with pytest.raises(TypeError, match="whole numbers as index, but got float64"):
        keys(0, "a", [0.5])


@pytest.mark.parametrize("row_keys", [keys(0, "a", np.arange(20_000)), np.arange(20_000, dtype=np.uint64)])
def test_draws_look_uniform_and_independent(row_keys: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> None:
    draws = np.concatenate([uniform(row_keys, stream, 3) for stream in (0, 1)], axis=1)
    assert draws.min() >= 0
    assert draws.max() < 1
    # Kolmogorov-Smirnov: under 1.95 / sqrt(n) except once in a thousand; the draws are fixed, so this never flickers.
    ranks = (np.arange(len(draws)) + 0.5) / len(draws)
    assert np.abs(np.sort(draws, axis=0) - ranks[:, None]).max() < 1.95 / len(draws) ** 0.5
    neighbours = np.concatenate((draws[1:], draws[:-1]), axis=1)
    correlations = np.corrcoef(neighbours, rowvar=False) - np.eye(12)
    assert np.abs(correlations).max() < 4.5 / len(draws) ** 0.5


def test_every_bit_is_fair() -> None:
    words = bits(keys(0, "a", np.arange(4000)), 0, 4).ravel()
    ones = np.unpackbits(words.view(np.uint8)).reshape(-1, 64).mean(axis=0)
    assert np.abs(ones - 0.5).max() < 4.5 * 0.5 / len(words) ** 0.5

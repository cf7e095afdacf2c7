"""Seeding as torch does it, for the devices that are in use."""

from unittest.mock import patch

import pytest
import torch

from tandem.utils.seeding import seed_generators


@pytest.mark.parametrize("seed", [0, 1, 1_000_003 * 7 + 5, 2**62])
def test_numbers_are_those_of_torch(seed: int) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        expected, first = torch.rand(5), torch.initial_seed()
        torch.rand(3)
        seed_generators(seed)
        assert torch.equal(torch.rand(5), expected)
        assert torch.initial_seed() == first


def test_a_device_in_use_is_seeded_and_another_one_is_not() -> None:
    with (
        torch.random.fork_rng(devices=[]),
        patch.object(torch.cuda, "is_initialized", return_value=True),
        patch.object(torch.cuda, "manual_seed_all") as seeded,
        patch.object(torch.xpu, "manual_seed_all") as unused,
    ):
        seed_generators(3)
    seeded.assert_called_once_with(3)
    unused.assert_not_called()

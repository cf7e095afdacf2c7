"""The examples in the docstrings of the losses give what they print."""

import doctest
import importlib
import pkgutil

import pytest

import tandem.losses

MODULES = [
    "tandem.losses",
    *(module.name for module in pkgutil.walk_packages(tandem.losses.__path__, "tandem.losses.")),
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0

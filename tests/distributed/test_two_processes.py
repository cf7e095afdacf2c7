"""Balances, metrics and the sweep of two processes are those of one, in float64, steps to a relative 1e-12."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.distributed.both import BALANCES
from tests.distributed.processes import ended
from torch import Tensor
from torchmetrics import MeanMetric, Metric, PearsonCorrCoef
from torchmetrics.regression import MeanSquaredError

from tandem.distributed.metric_states import check_shared
from tandem.errors import ConfigError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What one process computes, and each of two."""
    folder = tmp_path_factory.mktemp("both")
    variables = {**os.environ, "OMP_NUM_THREADS": "1"} | (
        {"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {}
    )
    command = [sys.executable, "-m", "tests.distributed.both"]
    processes = [
        subprocess.Popen(
            [*command, str(rank), str(folder)],
            cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    with ended(processes):
        said = [process.communicate(timeout=400)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    assert "2 images are not a number, so its metrics are nan (image 1, image 4)" in said[0]
    assert "Warning" not in "".join(said), "of torchmetrics, that a metric was never updated"
    return [torch.load(folder / f"{name}.pt", weights_only=True) for name in ("alone", "0", "1")]


@pytest.mark.full
@pytest.mark.parametrize("balance", BALANCES)
def test_a_balance_takes_the_same_steps(balance: str, found: list[dict[str, Any]]) -> None:
    alone, *together = (each["weights"][balance] for each in found)
    assert torch.equal(*together)
    torch.testing.assert_close(together[0], alone, rtol=1e-12, atol=1e-14)


@pytest.mark.full
@pytest.mark.parametrize("part", ["metrics", "one-sided", "sweep", "one sweep"])
def test_counts_are_added_up(part: str, found: list[dict[str, Any]]) -> None:
    alone, *together = (each[part] for each in found)
    for each in together:
        assert differing(each, alone) == []


def differing(one: Any, other: Any, where: str = "") -> list[str]:
    """Places at which two nested values differ; nan equals nan."""
    if isinstance(one, Mapping):
        if one.keys() != other.keys():
            return [f"{where}: {sorted(one)} and {sorted(other)}"]
        return [place for key in one for place in differing(one[key], other[key], f"{where}/{key}")]
    if isinstance(one, list):
        return [
            place for at, pair in enumerate(zip(one, other, strict=True)) for place in differing(*pair, f"{where}/{at}")
        ]
    assert isinstance(one, Tensor)
    rtol = 1e-6 if one.dtype == torch.float32 else 1e-9
    same = torch.allclose(one, other, rtol=rtol, atol=1e-12, equal_nan=True)
    return [] if same else [f"{where}: {one} and {other}"]


class Listed(Metric):
    """Keeps a list that torchmetrics would gather entry by entry."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("seen", default=[], dist_reduce_fx=None)

    def update(self, values: Tensor) -> None:
        """Keeps them."""

    def compute(self) -> Tensor:
        """Nothing."""
        return torch.zeros(())


class Averaged(MeanMetric):
    """Has a state that would be averaged over devices, however many rows each has."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("level", torch.zeros(()), "mean")


@pytest.mark.parametrize("metric", [Listed(), Averaged()], ids=lambda one: type(one).__name__)
def test_a_metric_that_cannot_be_added_up_is_named(metric: Metric) -> None:
    with pytest.raises(ConfigError, match=rf"tasks\.age\.metrics\.x \({type(metric).__name__}\).*trainer.devices=1$"):
        check_shared("tasks.age.metrics.x", metric)
    for fine in (MeanSquaredError(), PearsonCorrCoef()):
        check_shared("x", fine)

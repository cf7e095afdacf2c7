"""The histograms against a plain loop over thresholds, and what must not change them."""

import copy
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score
from torch import Tensor

from tandem.errors import ConfigError, DataError
from tandem.metrics import Aggregate, DiceSweep, SweepResult

GRID = [round(0.1 + 0.01 * index, 9) for index in range(81)]
Counts = npt.NDArray[np.int64]


def loop(p: Tensor, target: Tensor, channel: int, thresholds: Sequence[float]) -> tuple[Counts, Counts, Counts]:
    """True positives, false positives (M, T) and positives (M,), pixel by pixel and threshold by threshold."""
    images = len(p)
    tp, fp = np.zeros((images, len(thresholds)), np.int64), np.zeros((images, len(thresholds)), np.int64)
    positives = np.zeros(images, np.int64)
    for image in range(images):
        answers = p[image, channel].float().reshape(-1).numpy()
        truths = target[image, channel].reshape(-1).numpy()
        for value, truth in zip(answers, truths, strict=True):
            if truth == 255:
                continue
            positives[image] += truth == 1
            for k, threshold in enumerate(np.array(thresholds, dtype=np.float32)):
                if value >= threshold:
                    (tp if truth == 1 else fp)[image, k] += 1
    return tp, fp, positives


def swept(p: Tensor, target: Tensor, thresholds: Sequence[float] = GRID, batch: int | None = None) -> list[SweepResult]:
    sweep = DiceSweep(thresholds)
    for start in range(0, len(p), batch or len(p)):
        stop = start + (batch or len(p))
        sweep.update(p[start:stop], target[start:stop])
    return sweep.compute()


def pictures(*shape: int, seed: int = 0, missing: bool = False) -> tuple[Tensor, Tensor]:
    """Probabilities, a third of them on a grid point or one float beside it, and targets."""
    rng = np.random.default_rng(seed)
    p = rng.random(shape, dtype=np.float32)
    points = rng.choice(np.array(GRID, dtype=np.float32), shape)
    beside = np.nextafter(points, rng.choice(np.array([0, 1], dtype=np.float32), shape))
    which = rng.integers(0, 6, shape)
    p = np.select([which == 0, which == 1], [points, beside], p).astype(np.float32)
    values = [0, 1, 255] if missing else [0, 1]
    return torch.from_numpy(p), torch.from_numpy(rng.choice(np.array(values, dtype=np.uint8), shape))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("shape", [(3, 1, 5, 4), (2, 3, 4, 3), (7, 1), (4, 2), (2, 1, 9), (2, 2, 3, 2, 2)], ids=str)
def test_counts_equal_a_loop_over_thresholds(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    p, target = pictures(*shape, missing=True)
    results = swept(p.to(dtype), target)
    assert len(results) == shape[1]
    for channel, result in enumerate(results):
        tp, fp, positives = loop(p.to(dtype), target, channel, GRID)
        assert result.true_positives.tolist() == tp.tolist()
        assert result.false_positives.tolist() == fp.tolist()
        assert result.positives.tolist() == positives.tolist()
        assert result.thresholds.tolist() == np.array(GRID, dtype=np.float32).tolist()


def test_every_grid_point_passes_its_own_threshold() -> None:
    p = torch.tensor(GRID).view(1, 1, 9, 9)
    (result,) = swept(p, torch.ones_like(p, dtype=torch.uint8))
    assert result.true_positives.tolist() == [[81 - k for k in range(81)]]
    below = torch.nextafter(p, torch.zeros(()))
    (result,) = swept(below, torch.ones_like(p, dtype=torch.uint8))
    assert result.true_positives.tolist() == [[80 - k for k in range(81)]]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32], ids=str)
def test_targets_of_any_type_count_alike(dtype: torch.dtype) -> None:
    p, target = pictures(2, 1, 4, 4, missing=True)
    expected, found = swept(p, target)[0], swept(p, target.to(dtype))[0]
    assert found.true_positives.equal(expected.true_positives)
    assert found.false_positives.equal(expected.false_positives)


@pytest.mark.parametrize("filler", [float("nan"), float("inf"), -1.0, 0.5])
def test_missing_pixels_count_nowhere_whatever_stands_there(filler: float) -> None:
    p, target = pictures(3, 1, 6, 6)
    masked = target.clone()
    masked[:, :, :, 3:] = 255
    garbage = p.clone()
    garbage[:, :, :, 3:] = filler
    found, expected = swept(garbage, masked)[0], swept(p[..., :3], target[..., :3])[0]
    assert found.true_positives.equal(expected.true_positives)
    assert found.false_positives.equal(expected.false_positives)
    assert found.positives.equal(expected.positives)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 9),
    cuts=st.lists(st.integers(0, 9), max_size=4),
    missing=st.booleans(),
)
def test_neither_batches_nor_order_change_a_bit(seed: int, count: int, cuts: list[int], missing: bool) -> None:
    p, target = pictures(count, 1, 3, 4, seed=seed, missing=missing)
    target[::3][target[::3] == 1] = 0  # some without foreground
    (whole,) = swept(p, target)
    order = np.random.default_rng(seed).permutation(count)
    sweep = DiceSweep(GRID)
    for start, stop in pairwise(sorted({0, count, *(cut for cut in cuts if cut < count)})):
        rows = torch.from_numpy(order[start:stop])
        sweep.update(p[rows], target[rows])
    (found,) = sweep.compute()
    for aggregate in get_args(Aggregate):
        curve = found.curve(aggregate)
        assert torch.equal(curve.nan_to_num(-1), whole.curve(aggregate).nan_to_num(-1))
        assert found.best(aggregate) == whole.best(aggregate)
        assert str(found.at(40, aggregate)) == str(whole.at(40, aggregate)), "as text, since nan is unequal to itself"


def test_the_mean_of_batch_dice_is_not_what_is_reported() -> None:
    rng = np.random.default_rng(3)
    sizes = [40, 2, 30, 1, 3, 36, 2, 20, 5]
    target = torch.zeros(9, 1, 8, 8, dtype=torch.uint8)
    for image, size in enumerate(sizes):
        target.view(9, -1)[image, :size] = 1
    p = 0.3 * target + 0.7 * torch.from_numpy(rng.random((9, 1, 8, 8), dtype=np.float32))
    means = {
        batch: np.mean([f1_score(*_flat(p[i : i + batch], target[i : i + batch], 0.6)) for i in range(0, 9, batch)])
        for batch in (1, 2, 4, 8, 9)
    }
    assert max(means.values()) - min(means.values()) > 0.05, "the trap is set"
    found = {batch: swept(p, target, [0.6], batch)[0].at(0, "global") for batch in means}
    assert len({str(values) for values in found.values()}) == 1
    assert found[9]["dice"] == pytest.approx(means[9], abs=1e-12)
    assert found[9]["dice_lesion"] == pytest.approx(means[1], abs=1e-12)


def _flat(p: Tensor, target: Tensor, threshold: float) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    return (target == 1).flatten().numpy(), (p >= threshold).flatten().numpy()


@pytest.mark.parametrize("index", [0, 17, 40, 80])
def test_numbers_equal_those_of_scikit_learn(index: int) -> None:
    p, target = pictures(5, 1, 6, 7)
    truth, answer = _flat(p, target, float(np.float32(GRID[index])))
    values = swept(p, target)[0].at(index, "global")
    assert values["dice"] == pytest.approx(f1_score(truth, answer), abs=1e-12)
    assert values["iou"] == pytest.approx(jaccard_score(truth, answer), abs=1e-12)
    assert values["precision"] == pytest.approx(precision_score(truth, answer), abs=1e-12)
    assert values["recall"] == pytest.approx(recall_score(truth, answer), abs=1e-12)
    rows = [_flat(p[i], target[i], float(np.float32(GRID[index]))) for i in range(5)]
    assert values["dice_lesion"] == pytest.approx(np.mean([f1_score(*row) for row in rows]), abs=1e-11)
    assert values["iou_lesion"] == pytest.approx(np.mean([jaccard_score(*row) for row in rows]), abs=1e-11)


def test_one_pixel_one_image_one_threshold_keeps_its_dimensions() -> None:
    (result,) = swept(torch.tensor([[[[0.7]]]]), torch.tensor([[[[1]]]]), [0.5])
    assert result.thresholds.shape == (1,)
    assert result.true_positives.shape == result.false_positives.shape == (1, 1)
    assert result.positives.shape == (1,)
    assert result.curve("global").tolist() == result.curve("per_image").tolist() == [1.0]
    assert result.at(0, "per_image")["dice"] == 1.0


def test_a_large_picture_fits_its_counts() -> None:
    shape = (1, 1, 300, 300)
    (result,) = swept(torch.full(shape, 0.95), torch.ones(shape, dtype=torch.uint8))
    assert result.positives.tolist() == [90_000]
    assert set(result.true_positives.flatten().tolist()) == {90_000}


def test_reset_forgets_and_clones_are_independent() -> None:
    p, target = pictures(2, 1, 4, 4)
    other, truth = pictures(3, 1, 4, 4, seed=1)
    sweep = DiceSweep(GRID)
    sweep.update(p, target)
    for twin in (copy.deepcopy(sweep), sweep.clone()):
        twin.update(other, truth)
        assert len(twin.compute()[0].positives) == 5
    assert len(sweep.compute()[0].positives) == 2
    sweep.reset()
    sweep.update(other, truth)
    assert sweep.compute()[0].true_positives.equal(swept(other, truth)[0].true_positives)


def test_reset_forgets_a_fault() -> None:
    sweep = DiceSweep(GRID)
    sweep.update(torch.full((1, 1), torch.nan), torch.ones(1, 1))
    with pytest.raises(DataError, match="1 probabilities are not a number"):
        sweep.compute()
    sweep.reset()
    sweep.update(torch.full((1, 1), 0.5), torch.ones(1, 1))
    assert sweep.compute()[0].positives.tolist() == [1]


def test_a_checkpoint_holds_nothing_of_a_sweep() -> None:
    sweep = DiceSweep(GRID)
    sweep.update(*pictures(2, 1, 4, 4))
    assert sweep.state_dict() == {}


@pytest.mark.parametrize("value", [2, 128, 254, -1, 0.5], ids=str)
def test_a_target_outside_its_set_is_refused(value: float) -> None:
    sweep = DiceSweep(GRID)
    target = torch.zeros(2, 1, 3, 3)
    target[1, 0, 1, 1:] = value
    sweep.update(torch.rand(2, 1, 3, 3), target)
    with pytest.raises(DataError, match="2 target values are none of 0, 1 and 255"):
        sweep.compute()


def test_a_map_cut_out_of_a_larger_one_counts_without_a_warning() -> None:
    p, target = pictures(2, 1, 6, 6)
    cut = p.to(memory_format=torch.channels_last)[..., :5, :4]
    found, expected = swept(cut, target[..., :5, :4])[0], swept(cut.contiguous(), target[..., :5, :4].contiguous())[0]
    assert found.true_positives.equal(expected.true_positives)


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(DataError, match=r"\(2, 1, 4, 4\), but the target \(2, 4, 4\)"):
        DiceSweep(GRID).update(torch.rand(2, 1, 4, 4), torch.ones(2, 4, 4))


@pytest.mark.parametrize(
    "thresholds", [[], [0.5, 0.5], [0.6, 0.5], [0.0, 0.5], [0.5, 1.0], [-0.1], [float("nan")], [0.2, float("nan")]]
)
def test_thresholds_that_do_not_increase_inside_the_range_are_refused(thresholds: list[float]) -> None:
    with pytest.raises(ConfigError, match=r"must increase inside \(0, 1\)"):
        DiceSweep(thresholds)


PROCESS = """
import json, sys
import torch
import torch.distributed as dist
from tandem.metrics import DiceSweep
rank, store, data = int(sys.argv[1]), sys.argv[2], sys.argv[3]
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
saved = torch.load(data, weights_only=True)
sweep = DiceSweep(saved["grid"].tolist())
for rows in saved["rows"][rank]:
    sweep.update(saved["p"][rows], saved["target"][rows])
result = sweep.compute()[0]
print(json.dumps([result.curve(kind).tolist() for kind in ("global", "per_image")]
    + [result.best(kind) for kind in ("global", "per_image")] + [len(result.positives)]))
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_with_unequal_shares_equal_one(tmp_path: Path) -> None:
    p, target = pictures(8, 1, 5, 5, missing=True)
    rows = [[[6, 1], [0, 3, 7]], [[5, 2, 4]]]
    data = tmp_path / "data.pt"
    torch.save({"p": p, "target": target, "grid": torch.tensor(GRID, dtype=torch.float64), "rows": rows}, data)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if sys.platform == "linux":
        environment["GLOO_SOCKET_IFNAME"] = "lo"  # a machine need not know its own name
    command = [sys.executable, "-W", "ignore", "-c", PROCESS]
    running = [
        subprocess.Popen(
            [*command, str(rank), str(tmp_path / "store"), str(data)], stdout=subprocess.PIPE, env=environment
        )
        for rank in range(2)
    ]
    try:
        answers = [json.loads(process.communicate(timeout=120)[0]) for process in running]
    finally:
        for process in running:
            process.kill()
    (one,) = swept(p, target)
    expected = [one.curve("global").tolist(), one.curve("per_image").tolist()]
    for answer in answers:
        assert answer == [*expected, one.best("global"), one.best("per_image"), 8]

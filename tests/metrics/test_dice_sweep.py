"""The histograms against a plain loop over thresholds, and what must not change them."""

import copy
import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    f1_score,
    fbeta_score,
    jaccard_score,
    precision_recall_curve,
    precision_score,
    recall_score,
    roc_curve,
)
from torch import Tensor

from tandem.errors import ConfigError, DataError
from tandem.metrics import Aggregate, DiceSweep, SweepResult, logit_thresholds
from tandem.metrics.objective import Empty

GRID = [round(0.1 + 0.01 * index, 9) for index in range(81)]
Counts = npt.NDArray[np.int64]


def loop(p: Tensor, target: Tensor, channel: int, thresholds: Sequence[float]) -> tuple[Counts, Counts, Counts]:
    """True positives, false positives (M, T) and positives (M,), pixel by pixel and threshold by threshold."""
    images = len(p)
    tp, fp = np.zeros((images, len(thresholds)), np.int64), np.zeros((images, len(thresholds)), np.int64)
    positives = np.zeros(images, np.int64)
    for image in range(images):
        flat = p[image, channel].reshape(-1)
        answers = (flat if p.dtype == torch.float64 else flat.float()).numpy()
        truths = target[image, channel].reshape(-1).numpy()
        for value, truth in zip(answers, truths, strict=True):
            if truth == 255:
                continue
            positives[image] += truth == 1
            for k, threshold in enumerate(np.array(thresholds, dtype=np.float32).astype(answers.dtype)):
                if value >= threshold:
                    (tp if truth == 1 else fp)[image, k] += 1
    return tp, fp, positives


def swept(p: Tensor, target: Tensor, thresholds: Sequence[float] = GRID, batch: int | None = None) -> SweepResult:
    sweep = DiceSweep(thresholds, images=True)
    for start in range(0, len(p), batch or len(p)):
        stop = start + (batch or len(p))
        sweep.update(p[start:stop], target[start:stop])
    result: SweepResult = sweep.compute()
    return result


def expect_equal(found: SweepResult, expected: SweepResult) -> None:
    for name, part in found.counts._asdict().items():
        assert part.equal(getattr(expected.counts, name)), name


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
    result, summed = swept(p.to(dtype), target), DiceSweep(GRID)
    summed.update(p.to(dtype), target)
    assert len(result) == shape[1]
    assert result.thresholds.tolist() == np.array(GRID, dtype=np.float32).tolist()
    for channel in range(shape[1]):
        tp, fp, positives = loop(p.to(dtype), target, channel, GRID)
        counts = result[channel].counts
        assert counts.tp[:, 0].tolist() == tp.tolist()
        assert counts.fp[:, 0].tolist() == fp.tolist()
        assert counts.positives[:, 0, 0].tolist() == positives.tolist()
        known = (target[:, channel] != 255).reshape(len(target), -1).sum(1)
        assert (counts.positives + counts.negatives)[:, 0, 0].equal(known)
        assert summed.compute()[channel].counts.tp.flatten().tolist() == tp.sum(0).tolist()
        assert summed.compute()[channel].counts.fp.flatten().tolist() == fp.sum(0).tolist()


def test_every_grid_point_passes_its_own_threshold() -> None:
    p = torch.tensor(GRID).view(1, 1, 9, 9)
    result = swept(p, torch.ones_like(p, dtype=torch.uint8))
    assert result.counts.tp.flatten().tolist() == [81 - k for k in range(81)]
    below = torch.nextafter(p, torch.zeros(()))
    result = swept(below, torch.ones_like(p, dtype=torch.uint8))
    assert result.counts.tp.flatten().tolist() == [80 - k for k in range(81)]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32], ids=str)
def test_targets_of_any_type_count_alike(dtype: torch.dtype) -> None:
    p, target = pictures(2, 1, 4, 4, missing=True)
    expect_equal(swept(p, target.to(dtype)), swept(p, target))


@pytest.mark.parametrize("filler", [float("nan"), float("inf"), -1.0, 0.5])
def test_missing_pixels_count_nowhere_whatever_stands_there(filler: float) -> None:
    p, target = pictures(3, 1, 6, 6)
    masked = target.clone()
    masked[:, :, :, 3:] = 255
    garbage = p.clone()
    garbage[:, :, :, 3:] = filler
    expect_equal(swept(garbage, masked), swept(p[..., :3], target[..., :3]))


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
    whole = swept(p, target)
    order = np.random.default_rng(seed).permutation(count)
    sweep = DiceSweep(GRID, images=True)
    for start, stop in pairwise(sorted({0, count, *(cut for cut in cuts if cut < count)})):
        rows = torch.from_numpy(order[start:stop])
        sweep.update(p[rows], target[rows])
    found = sweep.compute()
    for aggregate in get_args(Aggregate):
        for empty in get_args(Empty):
            one, other = (result.by(aggregate=aggregate, empty=empty) for result in (found, whole))
            assert torch.equal(one.curve.dice.nan_to_num(-1), other.curve.dice.nan_to_num(-1))
            assert one.threshold == other.threshold
            assert str(one.iou) == str(other.iou), "as text, since nan is unequal to itself"


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
    for aggregate, same in (("global", 9), ("per_image", 1)):
        found = {float(swept(p, target, [0.6], batch).by(aggregate=aggregate).dice) for batch in means}
        assert len(found) == 1
        assert found.pop() == pytest.approx(means[same], abs=1e-12)


def _flat(p: Tensor, target: Tensor, threshold: float) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    return (target == 1).flatten().numpy(), (p >= threshold).flatten().numpy()


@pytest.mark.parametrize("index", [0, 17, 40, 80])
def test_numbers_equal_those_of_scikit_learn(index: int) -> None:
    p, target = pictures(5, 1, 6, 7)
    truth, answer = _flat(p, target, float(np.float32(GRID[index])))
    result = swept(p, target)
    assert result.dice_at(GRID[index]) == pytest.approx(f1_score(truth, answer), abs=1e-12)
    assert result.curve.precision[index] == pytest.approx(precision_score(truth, answer), abs=1e-12)
    assert result.curve.recall[index] == pytest.approx(recall_score(truth, answer), abs=1e-12)
    assert result.measure("iou")[0, index] == pytest.approx(jaccard_score(truth, answer), abs=1e-12)
    assert result.measure("specificity")[0, index] == pytest.approx(recall_score(~truth, ~answer), abs=1e-12)
    for beta in (0.5, 2.0):
        found = result.by(beta=beta).measure("fbeta")[0, index]
        assert found == pytest.approx(fbeta_score(truth, answer, beta=beta), abs=1e-12)
    rows = [_flat(p[i], target[i], float(np.float32(GRID[index]))) for i in range(5)]
    each = result.by(aggregate="per_image")
    assert each.dice_at(GRID[index]) == pytest.approx(np.mean([f1_score(*row) for row in rows]), abs=1e-11)
    assert each.measure("iou")[0, index] == pytest.approx(np.mean([jaccard_score(*row) for row in rows]), abs=1e-11)


def test_one_pixel_one_image_one_threshold_keeps_its_dimensions() -> None:
    result = swept(torch.tensor([[[[0.7]]]]), torch.tensor([[[[1]]]]), [0.5])
    assert result.thresholds.shape == (1,)
    assert {part.shape for part in result.counts} == {(1, 1, 1)}
    assert result.curve.dice.tolist() == result.by(aggregate="per_image").curve.dice.tolist() == [1.0]
    assert result.dice.shape == result.threshold.shape == ()


def test_a_large_picture_fits_its_counts() -> None:
    shape = (1, 1, 300, 300)
    result = swept(torch.full(shape, 0.95), torch.ones(shape, dtype=torch.uint8))
    assert result.counts.positives.tolist() == [[[90_000]]]
    assert set(result.counts.tp.flatten().tolist()) == {90_000}


def test_reset_forgets_and_clones_are_independent() -> None:
    p, target = pictures(2, 1, 4, 4)
    other, truth = pictures(3, 1, 4, 4, seed=1)
    sweep = DiceSweep(GRID, images=True)
    sweep.update(p, target)
    for twin in (copy.deepcopy(sweep), sweep.clone()):
        twin.update(other, truth)
        assert len(twin.compute().counts.tp) == 5
    assert len(sweep.compute().counts.tp) == 2
    sweep.reset()
    sweep.update(other, truth)
    expect_equal(sweep.compute(), swept(other, truth))


def test_reset_forgets_a_fault() -> None:
    sweep = DiceSweep(GRID)
    sweep.update(torch.full((1, 1), 2.0), torch.ones(1, 1))
    with pytest.raises(DataError, match="1 probabilities are outside"):
        sweep.compute()
    sweep.reset()
    sweep.update(torch.full((1, 1), 0.5), torch.ones(1, 1))
    assert sweep.compute().counts.positives.tolist() == [[[1]]]


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
    with pytest.raises(DataError, match="2 target values are not 0, 1 or 255"):
        sweep.compute()


def test_a_map_cut_out_of_a_larger_one_counts_without_a_warning() -> None:
    p, target = pictures(2, 1, 6, 6)
    cut = p.to(memory_format=torch.channels_last)[..., :5, :4]
    expect_equal(swept(cut, target[..., :5, :4]), swept(cut.contiguous(), target[..., :5, :4].contiguous()))


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(DataError, match=r"\(2, 1, 4, 4\), but the target \(2, 4, 4\)"):
        DiceSweep(GRID).update(torch.rand(2, 1, 4, 4), torch.ones(2, 4, 4))


@pytest.mark.parametrize(
    "thresholds", [[], [0.5, 0.5], [0.6, 0.5], [0.0, 0.5], [0.5, 1.0], [-0.1], [float("nan")], [0.2, float("nan")]]
)
def test_thresholds_that_do_not_increase_inside_the_range_are_refused(thresholds: list[float]) -> None:
    with pytest.raises(ConfigError, match=r"must increase inside \(0, 1\)"):
        DiceSweep(thresholds)


@pytest.mark.parametrize("thresholds", ["all", 0.5, [[0.1, 0.2]]], ids=str)
def test_what_are_no_thresholds_is_refused(thresholds: Any) -> None:
    with pytest.raises(ConfigError, match="thresholds"):
        DiceSweep(thresholds)


def test_a_mean_over_images_needs_them_apart() -> None:
    with pytest.raises(ConfigError, match="images=False, but a mean over images needs counts by image"):
        DiceSweep(aggregate="per_image", images=False)


@pytest.mark.parametrize("value", [1.0001, -0.25, math.inf, 12.0, -math.inf])
def test_a_probability_outside_its_range_is_refused(value: float) -> None:
    sweep = DiceSweep(GRID)
    sweep.update(torch.tensor([[0.2, value]]), torch.tensor([[0, 1]]))
    with pytest.raises(DataError, match=r"1 probabilities are outside of \[0, 1\]; pass probabilities"):
        sweep.compute()


def test_another_number_of_classes_is_refused() -> None:
    sweep = DiceSweep(GRID)
    sweep.update(torch.rand(2, 3), torch.ones(2, 3))
    with pytest.raises(DataError, match="1 classes in this batch, but 3 in those before it"):
        sweep.update(torch.rand(2, 1), torch.ones(2, 1))
    sweep.reset()
    sweep.update(torch.rand(2, 1), torch.ones(2, 1))
    assert len(sweep.compute()) == 1


@pytest.mark.parametrize("shape", [(3,), (2, 0), ()], ids=str)
def test_a_shape_without_classes_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"both must be \(N, C, ...\)"):
        DiceSweep(GRID).update(torch.rand(shape), torch.rand(shape))


@pytest.mark.parametrize("images", [True, False])
def test_memory_grows_with_thresholds_and_images_but_not_with_pixels(images: bool) -> None:
    sizes = {}
    for side in (4, 32):
        sweep = DiceSweep(GRID, images=images)
        for _ in range(5):
            sweep.update(*pictures(3, 2, side, side))
        sizes[side] = sum(part.numel() * part.element_size() for part in sweep.counted)
    assert sizes[4] == sizes[32] == (15 * 2 * 2 * 82 * 4 if images else 2 * 2 * 82 * 8)


@pytest.mark.parametrize("images", [True, False])
def test_the_value_of_a_batch_leaves_the_sum_as_it_is(images: bool) -> None:
    parts = [pictures(3, 1, 4, 4, seed=seed) for seed in range(3)]
    sweep = DiceSweep(GRID, images=images)
    for part in parts:
        assert sweep(*part).dice == swept(*part).dice
    whole = swept(torch.cat([p for p, _ in parts]), torch.cat([target for _, target in parts]))
    assert sweep.compute().curve.dice.equal(whole.curve.dice)


def test_an_empty_batch_changes_nothing() -> None:
    for images in (True, False):
        sweep = DiceSweep(GRID, images=images)
        sweep.update(torch.rand(0, 1, 4, 4), torch.rand(0, 1, 4, 4))
        assert sweep.compute().dice.isnan()
        sweep.update(*pictures(2, 1, 4, 4))
        assert sweep.compute().dice == swept(*pictures(2, 1, 4, 4)).dice


@pytest.mark.parametrize("objective", ["f1", "youden"])
@pytest.mark.parametrize("spread", [0.3, 1.0, 4.0])
def test_exact_is_the_optimum_over_all_distinct_probabilities(objective: Any, spread: float) -> None:
    rng = np.random.default_rng(7)
    truth = rng.random(3000) < 0.1
    p = 1 / (1 + np.exp(-spread * (rng.normal(size=3000) + 1.5 * truth - 2)))
    if objective == "f1":
        precision, recall, _ = precision_recall_curve(truth, p)
        best = float(np.max(2 * precision * recall / np.maximum(precision + recall, 1e-12)))
    else:
        wrong, right, _ = roc_curve(truth, p, drop_intermediate=False)
        best = float(np.max(right - wrong))
    sweep = DiceSweep("exact", objective=objective)
    sweep.update(torch.from_numpy(p)[:, None], torch.from_numpy(truth)[:, None])
    score = float(sweep.compute().score)
    assert score <= best + 1e-12
    # within 0.01 logits there are a few of the 3000 rows, of which each moves the score by about 1 / 300
    assert score == pytest.approx(best, abs=0.004 if spread > 0.5 else 0.01)


def test_logit_thresholds_are_symmetric_and_fine_everywhere() -> None:
    grid = logit_thresholds()
    assert len(grid) == 2401
    assert (grid.diff() > 0).all()
    assert grid[1200] == 0.5
    torch.testing.assert_close(grid + grid.flip(0), torch.ones(2401), atol=1e-7, rtol=0)
    torch.testing.assert_close(
        torch.logit(grid[:1400].double()).diff(), torch.full((1399,), 0.01).double(), atol=1e-4, rtol=0
    )
    assert logit_thresholds(1.0, 0.5).tolist() == torch.sigmoid(torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0])).tolist()
    for limit, step in ((0.0, 0.01), (13.0, 0.01), (12.0, 0.001), (1.0, 2.0), (math.nan, 0.01)):
        with pytest.raises(ConfigError, match="need 0 < limit <= 12"):
            logit_thresholds(limit, step)


PROCESS = """
import json, sys
import torch
import torch.distributed as dist
from tandem.metrics import DiceSweep
rank, store, data = int(sys.argv[1]), sys.argv[2], sys.argv[3]
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
saved = torch.load(data, weights_only=True)
said = []
for rows in saved["rows"]:
    for images in (True, False):
        sweep = DiceSweep(saved["grid"].tolist(), images=images)
        for part in rows[rank]:
            sweep.update(saved["p"][part], saved["target"][part])
        result = sweep.compute()
        again = sweep.compute()
        said.append([[counts.sum(0).tolist() for counts in each.counts] for each in (result, again)]
            + [result.threshold.tolist(), result.curve.dice.tolist()]
            + ([result.by(aggregate="per_image").curve.dice.tolist()] if images else []))
print(json.dumps(said))
dist.destroy_process_group()
"""


@pytest.mark.full
def test_two_processes_with_unequal_shares_equal_one(tmp_path: Path) -> None:
    p, target = pictures(8, 2, 5, 5, missing=True)
    rows = [[[[6, 1], [0, 3, 7]], [[5, 2, 4]]], [[], [[0, 1, 2, 3], [4, 5, 6, 7]]]]  # the second: a process without any
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
    one = swept(p, target)
    counts = [part.sum(0).tolist() for part in one.counts]
    expected = [counts, counts, one.threshold.tolist(), one.curve.dice.tolist()]
    apart = [*expected, one.by(aggregate="per_image").curve.dice.tolist()]
    for answer in answers:
        assert answer == [apart, expected, apart, expected]


@pytest.mark.parametrize("images", [True, False])
def test_a_probability_that_is_nan_makes_every_number_nan(images: bool) -> None:
    sweep = DiceSweep(GRID, images=images)
    sweep.update(torch.tensor([[0.9], [0.1], [torch.nan]]), torch.tensor([[1], [0], [1]]))
    result = sweep.compute()
    assert result.unknown
    assert result.dice.isnan()
    assert all(line.isnan().all() for line in result.curve[1:])
    sweep.reset()
    sweep.update(torch.tensor([[0.9], [torch.nan]]), torch.tensor([[1], [255]]))  # missing: nobody asked
    assert sweep.compute().dice == 1

"""Each detector sees what it is for, and keeps quiet about what healthy runs do."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.callbacks.collapse import gradients, losses, predictions
from tandem.callbacks.collapse.finding import Finding
from tandem.callbacks.collapse.history import Epoch, History, Limits, Predicted
from tandem.callbacks.collapse.watch import DETECTORS

LIMITS = Limits(warm_up=1, patience=3)


def course(start: float | None = None, **values: Sequence[Any]) -> History:
    """A history of the task `mask`: `train=[...]` gives its loss in each epoch, and so on."""
    epochs = []
    for number in range(max(map(len, values.values()))):
        entry = {key: column[number] for key, column in values.items() if number < len(column)}
        plain = {key: value if key in ("norm", "weights") else {"mask": value} for key, value in entry.items()}
        epochs.append(Epoch(number, 1e-3, **plain))  # type: ignore[arg-type]  # named by the test
    return History(epochs, {} if start is None else {"mask": start})


def mask(chosen: float, true: float = 0.1, low: float = -3.0, high: float = 3.0, spread: float = 0.9) -> Predicted:
    return Predicted("binary", ["0"], True, low, high, [chosen], [true], spread)


def classes(chosen: list[float], low: float = -3.0, high: float = 3.0, spread: float = 0.9) -> Predicted:
    return Predicted("multiclass", ["normal", "benign", "malignant"], False, low, high, chosen, [0.5, 0.3, 0.2], spread)


def only(found: Sequence[Finding]) -> Finding:
    assert len(found) == 1
    return found[0]


# -------------------------------------------------------------------------------------------------------------- losses


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("what", ["train", "val", "norm"])
def test_a_number_that_is_not_finite_is_reported_at_once(what: str, bad: float) -> None:
    finding = only(losses.not_finite(course(None, **{what: [bad]}), LIMITS))
    assert finding.fatal
    assert str(bad) in finding.saw
    assert "optimizer.lr=0.0001" in finding.attempt


HEALTHY = [
    [1.1, 0.9, 0.7, 0.55, 0.5, 0.45, 0.44, 0.43],
    [1.1, 0.9, 1.3, 0.7, 0.9, 0.6, 0.75, 0.5],  # noisy
    [1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1],  # learns nothing, but does not diverge
    [1.1, 0.5, 0.01, 0.001, 0.002, 0.004, 0.003, 0.002],  # near 0 a factor means nothing
    [-0.1, -0.4, -0.5, -0.45, -0.44, -0.46, -0.5, -0.5],  # a boundary loss is negative
    [1.1, 0.5, 0.4, 2.0, 0.39, 2.0, 0.38, 0.37],  # jumps that are made good
]


@pytest.mark.parametrize("values", HEALTHY)
@pytest.mark.parametrize("detector", [losses.learning_rate_too_high, losses.val_loss_rising, losses.not_finite])
def test_healthy_losses_are_left_alone(detector: Callable[..., list[Finding]], values: list[float]) -> None:
    for length in range(1, len(values) + 1):
        history = course(values[0] * 1.02, train=values[:length], val=values[:length])
        assert detector(history, LIMITS) == []


@pytest.mark.parametrize(
    ("start", "train"),
    [
        (1.1, [3.0, 1.1, 1.1, 1.1]),  # jumped, and never was better than untrained
        (1.1, [1.5, 1.45, 1.5, 1.6]),  # worse than untrained ever since
        (1.1, [0.9, 0.5, 0.8, 0.9, 1.0]),  # learnt, and lost it
        (None, [0.5, 0.8, 0.9, 1.0]),
    ],
)
def test_a_rising_training_loss_means_a_learning_rate_that_is_too_high(start: float | None, train: list[float]) -> None:
    finding = only(losses.learning_rate_too_high(course(start, train=train), LIMITS))
    assert finding.task == "mask"
    assert finding.fatal
    assert "lower the learning rate from 0.001 to 0.0001 (optimizer.lr=0.0001)" in finding.attempt


def test_the_validation_loss_rises_for_one_of_two_reasons() -> None:
    val = [1.0, 0.6, 0.9, 1.0, 1.2]
    overfit = only(losses.val_loss_rising(course(train=[1.0, 0.8, 0.5, 0.3, 0.2], val=val), LIMITS))
    assert "from 0.6 in epoch 1 to at least 0.9 in each of the last 3 epochs" in overfit.saw
    assert "while the training loss went from 0.8 to 0.2: it overfits" in overfit.saw
    assert "augment=light" in overfit.attempt
    assert not overfit.fatal
    diverged = only(losses.val_loss_rising(course(train=[1.0, 0.8, 0.9, 1.0, 1.2], val=val), LIMITS))
    assert "it diverges" in diverged.saw
    assert "optimizer.lr=" in diverged.attempt
    assert diverged.fatal


def test_nothing_is_reported_before_warm_up_and_patience_are_over() -> None:
    limits = Limits(warm_up=4, patience=2)
    bad = [1.0, *[9.0] * 5]
    for length in range(1, 7):
        history = course(1.0, train=bad[:length], val=bad[:length])
        found = losses.learning_rate_too_high(history, limits) + losses.val_loss_rising(history, limits)
        assert bool(found) == (length == 6)


def test_a_loss_whose_weights_rise_on_schedule_is_not_compared_with_what_it_was() -> None:
    loss = [0.5, 0.6, 0.9, 1.2, 1.5]
    rising = course(0.4, train=loss, val=loss, terms=[{"boundary": k / 10} for k in range(5)])
    assert losses.learning_rate_too_high(rising, LIMITS) == losses.val_loss_rising(rising, LIMITS) == []
    fixed = course(0.4, train=loss, val=loss, terms=[{"boundary": 0.1}] * 5)
    assert losses.learning_rate_too_high(fixed, LIMITS)
    assert losses.val_loss_rising(fixed, LIMITS)


# --------------------------------------------------------------------------------------------------------- predictions


@pytest.mark.parametrize(
    ("seen", "reported"),
    [
        (mask(0.1, low=0.02, high=0.97), True),
        (mask(0.1, low=0.0, high=1.0), True),
        (mask(0.1, low=-0.1, high=0.4), False),
        (mask(0.1, low=0.3, high=1.01), False),
        (mask(0.1, low=1.5, high=2.0), False),
        (mask(0.1, low=math.nan, high=math.nan), False),
        (classes([0.5, 0.3, 0.2], low=0.01, high=0.99), True),
        (classes([1.0, 0.0, 0.0], low=0.1, high=0.3, spread=0.02), False),  # the same output for every image
    ],
)
def test_several_epochs_of_logits_inside_0_and_1(seen: Predicted, reported: bool) -> None:
    assert not predictions.probabilities_as_logits(course(predicted=[seen] * 2), LIMITS)
    linear = [dataclasses.replace(seen, linear=True)] * 3
    assert not predictions.probabilities_as_logits(course(predicted=linear), LIMITS)
    found = predictions.probabilities_as_logits(course(predicted=[seen] * 3), LIMITS)
    assert len(found) == reported
    if reported:
        assert f"in [{seen.low:.3f}, {seen.high:.3f}]" in found[0].saw
        assert "these look like probabilities, not logits" in found[0].saw


@pytest.mark.parametrize(("true", "reported"), [(0.1, True), (0.6, False)])
def test_a_network_with_the_same_output_for_every_image_is_reported_late(true: float, reported: bool) -> None:
    alike = [mask(0.0, true, low=0.4, high=0.4, spread=0.0)] * 4
    assert predictions.probabilities_as_logits(course(predicted=alike[:3]), LIMITS) == []
    assert bool(predictions.probabilities_as_logits(course(predicted=alike), LIMITS)) == reported
    other = mask(0.0, true, low=-0.4, high=0.4, spread=0.0)
    assert predictions.probabilities_as_logits(course(predicted=[*alike[:2], other, *alike[:1]]), LIMITS) == []


def test_a_dice_that_is_stuck_at_0() -> None:
    finding = only(predictions.stuck_dice(course(dice=[0.0, 0.0, 0.005, 0.0]), LIMITS))
    assert "at most 0.005 in each of the last 3 epochs" in finding.saw
    assert "loss/binary@tasks.mask.loss=dice_bce" in finding.attempt
    assert predictions.stuck_dice(course(dice=[0.0, 0.0, 0.1, 0.0]), LIMITS) == []
    assert predictions.stuck_dice(course(dice=[0.0, math.nan, math.nan, math.nan]), LIMITS) == [], "no lesion at all"


@pytest.mark.parametrize(
    ("shares", "true", "side"),
    [
        ([0.0, 0.0, 0.0005], 0.1, "background"),
        ([1.0, 1.0, 0.995], 0.1, "foreground"),
        ([0.0, 0.0, 0.002], 0.1, None),
        ([0.0, 1.0, 0.0], 0.1, None),
        ([0.98, 0.98, 0.98], 0.1, None),
        ([0.0, 0.0, 0.0], 0.0, None),  # that is the truth
        ([1.0, 1.0, 1.0], 1.0, None),
        ([0.0005, 0.0005, 0.0005], 0.001, None),  # lesions may be tiny
    ],
)
def test_masks_of_one_side_only(shares: list[float], true: float, side: str | None) -> None:
    history = course(predicted=[mask(0.1), *(mask(share, true) for share in shares)])
    found = predictions.one_sided(history, LIMITS)
    assert len(found) == (side is not None)
    if side:
        assert f"everything was predicted as {side}" in found[0].saw
        assert f"{shares[-1]:.2%} of the validation pixels" in found[0].saw


def test_each_channel_is_named_and_images_are_no_pixels() -> None:
    seen = Predicted("binary", ["cyst", "nodule"], False, -3, 3, [0.0, 1.0], [0.1, 0.5], 0.9)
    no, yes = predictions.one_sided(course(predicted=[seen] * 4), LIMITS)
    assert (no.task, yes.task) == ("mask/cyst", "mask/nodule")
    assert "everything was predicted as no" in no.saw
    assert "100.00% of the validation images are called yes, 50.00% are" in yes.saw
    stuck = History([Epoch(k, 1e-3, dice={"mask/cyst": 0.0, "mask/nodule": 0.5}) for k in range(4)])
    finding = only(predictions.stuck_dice(stuck, LIMITS))
    assert finding.task == "mask/cyst"
    assert "loss/binary@tasks.mask.loss=" in finding.attempt


def test_one_class_only() -> None:
    stuck = course(predicted=[classes([0.0, 1.0, 0.0])] * 4)
    finding = only(predictions.one_class(stuck, LIMITS))
    assert "class 'benign' was predicted for at least 100.0%" in finding.saw
    assert "only 30.0% are of it" in finding.saw
    assert predictions.one_class(course(predicted=[classes([0.9, 0.1, 0.0])] * 4), LIMITS) == []
    turns = [classes([1.0, 0.0, 0.0]), classes([0.0, 1.0, 0.0])] * 2
    assert predictions.one_class(course(predicted=turns), LIMITS) == [], "another class in each epoch"
    true = Predicted("multiclass", ["0", "1"], False, -1, 1, [1.0, 0.0], [0.97, 0.03], 0.5)
    assert predictions.one_class(course(predicted=[true] * 4), LIMITS) == [], "nearly all are of it"
    assert predictions.one_sided(stuck, LIMITS) == []


# ----------------------------------------------------------------------------------------------------------- gradients


def test_gradients_that_vanish_or_explode() -> None:
    assert only(gradients.gradient_vanished(course(norm=[1.0, 0.0, 1e-9, 0.0]), LIMITS)).numbers == {"norm": 0.0}
    assert gradients.gradient_vanished(course(norm=[1.0, 0.0, 1e-3, 0.0]), LIMITS) == []
    assert "at least 500" in only(gradients.gradient_exploding(course(norm=[1.0, 2.0, 500, 600, 5e4]), LIMITS)).saw
    assert gradients.gradient_exploding(course(norm=[1.0, 2.0, 500, 20, 5e4]), LIMITS) == []
    assert gradients.gradient_exploding(course(norm=[500, 600, 700]), LIMITS) == [], "nothing to compare with"


def test_epochs_without_a_measurement_are_passed_over() -> None:
    norms = [1.0, None, 0.0, None, 0.0, None]
    assert gradients.gradient_vanished(course(norm=norms), LIMITS) == []
    assert gradients.gradient_vanished(course(norm=[*norms, 0.0]), LIMITS)


def test_a_task_with_next_to_nothing_of_the_shared_gradient() -> None:
    weights = {"mask": 0.1, "label": 1.0}
    history = course(shares=[0.3, 0.005, 0.001, 0.002], weights=[weights] * 4)
    finding = only(gradients.small_share(history, LIMITS))
    assert "at most 0.50% of the shared gradient" in finding.saw
    assert finding.attempt == "raise its weight from 0.1 to 1 (balance.weights.mask=1)"
    assert not finding.fatal
    assert gradients.small_share(course(shares=[0.3, 0.005, 0.02, 0.002], weights=[weights] * 4), LIMITS) == []
    assert gradients.small_share(history, Limits(1, 3, share=0.001)) == []


def test_opposed_tasks_are_named() -> None:
    epochs = [Epoch(k, 1e-3, cosines={"label/mask": cosine}) for k, cosine in enumerate([0.1, -0.5, -0.4, -0.9])]
    finding = only(gradients.opposed_tasks(History(epochs), LIMITS))
    assert "'label' and 'mask'" in finding.saw
    assert "balance=pcgrad" in finding.attempt
    assert gradients.opposed_tasks(History(epochs), Limits(1, 3, opposed=-0.45)) == []


# ---------------------------------------------------------------------------------------------------------------- all

number = st.floats(allow_nan=True, allow_infinity=True)
share = st.floats(0, 1)
epoch = st.builds(
    Epoch,
    number=st.integers(0, 9),
    rate=st.floats(1e-9, 10),
    train=st.dictionaries(st.sampled_from("ab"), number),
    val=st.dictionaries(st.sampled_from("ab"), number),
    dice=st.dictionaries(st.sampled_from("ab"), number),
    predicted=st.dictionaries(st.sampled_from("ab"), st.builds(mask, share, share, number, number)),
    norm=st.none() | number,
    shares=st.dictionaries(st.sampled_from("ab"), share),
    cosines=st.dictionaries(st.just("a/b"), st.floats(-1, 1)),
    weights=st.just({"a": 0.0, "b": 1.0}),
)


@given(st.lists(epoch, min_size=1, max_size=6), st.dictionaries(st.sampled_from("ab"), number))
def test_no_history_trips_a_detector_and_it_comes_back_from_a_checkpoint(
    epochs: list[Epoch], start: dict[str, float]
) -> None:
    history = History(epochs, start)
    for detector in DETECTORS:
        for finding in detector(history, LIMITS):
            assert finding.name == detector.__name__
            assert str(finding).endswith(finding.attempt)
    again = History.from_plain(history.to_plain())
    assert str(again) == str(history), "as text, since nan is unequal to itself"

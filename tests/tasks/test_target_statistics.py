"""What a task computes from the training targets: counts, data-dependent loss options, and the prior bias."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from tandem.data.datamodule import DataInfo
from tandem.data.samples import Samples
from tandem.errors import ConfigError, DataError
from tandem.losses import Composite, binary, multiclass, regression
from tandem.network import FeatureChannels, Features
from tandem.tasks import AreaTask, ClassificationTask, SegmentationTask, Task
from tandem.tasks.target_statistics import CHUNK, count_answers

Make = Callable[..., Samples]
T = TypeVar("T", bound=Task)


def classify(info: DataInfo, loss: Any = None, **options: Any) -> ClassificationTask:
    return attached(ClassificationTask("diagnosis", info, loss or multiclass.CrossEntropy(), **options))


def segment(info: DataInfo, loss: Any = None, **options: Any) -> SegmentationTask:
    return attached(SegmentationTask("lesion", info, loss or binary.BCE(), **options))


def attached(task: T) -> T:
    task.attach(FeatureChannels(8, 4))
    return task


@pytest.fixture
def partial(tiny_samples: Make) -> Samples:
    """More rows than one chunk; some labels, masks and pixels are missing."""
    samples = tiny_samples(CHUNK + 9)
    samples.labels[::5] = -100
    samples.masks[::7] = 255
    samples.masks[3, :, :, :2] = 255
    return samples


def by_loop(samples: Samples) -> tuple[list[int], list[int]]:
    """Labels by class, and pixels that are 0 and 1, counted one by one."""
    labels, pixels = [0, 0, 0], [0, 0]
    for row in range(len(samples)):
        if (label := int(samples.labels[row])) >= 0:
            labels[label] += 1
        for value in samples.masks[row].flatten().tolist():
            if value != 255:
                pixels[value] += 1
    return labels, pixels


def test_counts_equal_a_plain_loop(info: DataInfo, partial: Samples) -> None:
    labels, pixels = by_loop(partial)
    assert count_answers(classify(info), partial).tolist() == labels
    assert count_answers(segment(info), partial).tolist() == [pixels]


class Organs(SegmentationTask):
    """Each pixel is of one of three classes."""

    kind = "multiclass"

    @property
    def channels(self) -> int:
        return 3

    @property
    def class_names(self) -> Sequence[str]:
        return ("0", "1", "2")

    def read_target(self, batch: Any) -> Any:
        return batch["mask"].squeeze(1)


def test_dense_masks_are_counted_by_pixels(info: DataInfo, tiny_samples: Make) -> None:
    samples = tiny_samples(8)
    samples.masks[:] = torch.randint(0, 3, samples.masks.shape, dtype=torch.uint8)
    samples.masks[2, :, 3:] = 255
    task = attached(Organs("organs", info, multiclass.CrossEntropy("balanced")))
    found = task.prepare(samples)
    known = samples.masks[samples.masks != 255].numpy()
    expected = compute_class_weight("balanced", classes=np.arange(3), y=known)
    assert list(found) == [f"tasks.organs.loss.weight.{index}" for index in range(3)]
    assert list(found.values()) == pytest.approx(expected.tolist())


def test_weights_are_scikit_learn_s_over_known_labels(info: DataInfo, partial: Samples) -> None:
    known = partial.labels[partial.labels >= 0].numpy()
    expected = compute_class_weight("balanced", classes=np.arange(3), y=known)
    task = classify(info, multiclass.CrossEntropy("balanced"))
    found = task.prepare(partial)
    names = [f"tasks.diagnosis.loss.weight.{name}" for name in info.classes]
    assert found == pytest.approx(dict(zip(names, expected.tolist(), strict=True)))
    assert task.state_dict()["loss.weight"].tolist() == pytest.approx(expected.tolist())


def test_beta_is_the_background_s_share_of_known_pixels(info: DataInfo, partial: Samples) -> None:
    _, (no, yes) = by_loop(partial)
    parts = {"dice": binary.Dice(), "bce": binary.BalancedBCE("auto")}
    task = segment(info, Composite(parts, {"dice": 1.0, "bce": 1.0}))
    assert task.prepare(partial) == {"tasks.lesion.loss.terms.bce.beta": pytest.approx(no / (no + yes))}


def test_nothing_is_counted_where_nothing_asks(info: DataInfo, partial: Samples) -> None:
    task = segment(info)
    task.read_target = lambda batch: pytest.fail("looked at the targets")  # type: ignore[method-assign]
    assert task.prepare(partial) == {}
    assert attached(AreaTask("area", info, regression.MSE())).prepare(partial) == {}


# ----------------------------------------------------------------------------------------------------------- prior bias


def answers(task: Task, size: int = 6) -> torch.Tensor:
    """Probabilities for features that are 0: of the bias alone."""
    task.eval()
    zeros = Features(torch.zeros(1, 8, 1, 1), torch.zeros(1, 4, size, size), (size, size), (size, size))
    return task.probabilities(task(zeros))


def test_an_untrained_head_answers_with_the_foreground_s_share(info: DataInfo, partial: Samples) -> None:
    _, (no, yes) = by_loop(partial)
    pi = yes / (no + yes)
    task = segment(info, prior_bias=True)
    found = task.prepare(partial)
    assert found == pytest.approx({"tasks.lesion.prior": pi, "tasks.lesion.bias": -math.log((1 - pi) / pi)}, rel=1e-6)
    torch.testing.assert_close(answers(task), torch.full((1, 1, 6, 6), pi))


def test_an_untrained_head_answers_with_the_classes_shares(info: DataInfo, partial: Samples) -> None:
    labels, _ = by_loop(partial)
    task = classify(info, prior_bias=True)
    found = task.prepare(partial)
    shares = [count / sum(labels) for count in labels]
    assert [found[f"tasks.diagnosis.prior.{name}"] for name in info.classes] == pytest.approx(shares)
    torch.testing.assert_close(answers(task), torch.tensor([shares]))


def test_a_share_may_be_given_and_needs_no_targets(info: DataInfo, partial: Samples) -> None:
    task = segment(info, prior_bias=0.01)
    partial.masks[:] = 255
    assert task.prepare(partial)["tasks.lesion.bias"] == pytest.approx(-math.log(99))
    torch.testing.assert_close(answers(task), torch.full((1, 1, 6, 6), 0.01))


def test_weights_and_random_numbers_stay_as_they_are(info: DataInfo, partial: Samples) -> None:
    torch.manual_seed(0)
    plain = segment(info)
    torch.manual_seed(0)
    task = segment(info, prior_bias=True)
    state = torch.random.get_rng_state()
    task.prepare(partial)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(plain.state_dict()["head.logits.weight"], task.state_dict()["head.logits.weight"])


def test_without_the_setting_the_bias_is_left_alone(info: DataInfo, partial: Samples) -> None:
    task = classify(info)
    before = task.state_dict()["head.logits.bias"].clone()
    assert task.prepare(partial) == {}
    assert torch.equal(task.state_dict()["head.logits.bias"], before)


# -------------------------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize("value", [0, 1, 0.0, 1.0, 1.5, -0.1, float("nan"), "true", None])
def test_a_share_outside_0_and_1_is_refused(info: DataInfo, value: Any) -> None:
    with pytest.raises(ConfigError, match=r"prior_bias is .*, but must be true, false or the share of yes"):
        segment(info, prior_bias=value)


def test_classes_take_no_share(info: DataInfo) -> None:
    with pytest.raises(ConfigError, match=r"prior_bias is 0\.1, but must be true or false"):
        classify(info, prior_bias=0.1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda info: classify(info, multiclass.Focal(alpha="balanced")),
            r"^tasks\.diagnosis\.loss\.alpha is balanced, but no training target is of class 'malignant'",
        ),
        (lambda info: classify(info, prior_bias=True), r"^tasks\.diagnosis\.prior_bias: no training target is class"),
        (
            lambda info: segment(info, binary.BalancedBCE("auto")),
            r"^tasks\.lesion\.loss\.beta is auto, but the training masks have no foreground",
        ),
        (lambda info: segment(info, prior_bias=True), r"^tasks\.lesion\.prior_bias: no training target is foreground"),
    ],
)
def test_an_answer_that_never_occurs_is_named(
    info: DataInfo, tiny_samples: Make, make: Callable[[DataInfo], Task], message: str
) -> None:
    samples = tiny_samples(2)
    samples.masks[:] = 0
    with pytest.raises(DataError, match=message):
        make(info).prepare(samples)


def test_targets_that_are_all_missing_are_refused(info: DataInfo, tiny_samples: Make) -> None:
    samples = tiny_samples(4)
    samples.masks[:] = 255
    with pytest.raises(DataError, match="no training image has a target for task 'lesion'"):
        segment(info, prior_bias=True).prepare(samples)


def test_a_head_without_a_layer_called_logits_is_refused(info: DataInfo, partial: Samples) -> None:
    task = segment(info, prior_bias=True)
    task.head = nn.Sequential(nn.Conv2d(4, 1, 3))
    with pytest.raises(ConfigError, match="needs a head whose last layer, with a bias, is called `logits`"):
        task.prepare(partial)

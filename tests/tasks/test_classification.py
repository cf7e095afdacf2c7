"""The head on the deepest map."""

import math

import pytest
import torch
from torch import Tensor

from tandem.data.datamodule import DataInfo
from tandem.errors import ConfigError
from tandem.losses.multiclass import CrossEntropy
from tandem.network import FeatureChannels, Features
from tandem.tasks import ClassificationTask


def features(deep: Tensor) -> Features:
    return Features(deep, None, (64, 64), (60, 50))


@pytest.mark.parametrize(
    ("pool", "expected"),
    [
        ("avg", lambda deep: deep.mean((2, 3))),
        ("max", lambda deep: deep.amax((2, 3))),
        ("avgmax", lambda deep: (deep.mean((2, 3)) + deep.amax((2, 3))) / 2),
        ("catavgmax", lambda deep: torch.cat([deep.mean((2, 3)), deep.amax((2, 3))], 1)),
    ],
)
def test_pooling(info: DataInfo, pool: str, expected: object) -> None:
    assert callable(expected)
    torch.manual_seed(0)
    task = ClassificationTask("diagnosis", info, CrossEntropy(), pool=pool)
    task.attach(FeatureChannels(6, 0))
    deep = torch.randn(4, 6, 2, 3)
    layer = task.head.logits
    assert isinstance(layer, torch.nn.Linear)
    found = task(features(deep))
    assert found.shape == (4, 3)
    torch.testing.assert_close(found, layer(expected(deep)))


def test_dropout_acts_in_training_only(info: DataInfo) -> None:
    torch.manual_seed(0)
    task = ClassificationTask("diagnosis", info, CrossEntropy(), dropout=0.5)
    task.attach(FeatureChannels(64, 0))
    deep = features(torch.ones(2, 64, 1, 1))
    assert not torch.equal(task(deep), task(deep))
    task.eval()
    assert torch.equal(task(deep), task(deep))


@pytest.mark.parametrize("dropout", [-0.1, 1.0, 2.0, math.nan])
def test_a_dropout_out_of_range_is_refused(info: DataInfo, dropout: float) -> None:
    with pytest.raises(ConfigError, match=r"dropout is .*, but must lie in \[0, 1\)"):
        ClassificationTask("diagnosis", info, CrossEntropy(), dropout=dropout)


def test_an_unknown_pooling_is_refused_with_the_nearest(info: DataInfo) -> None:
    with pytest.raises(ConfigError, match="no pooling 'avgmx': did you mean 'avgmax'"):
        ClassificationTask("diagnosis", info, CrossEntropy(), pool="avgmx")


def test_one_logit_for_each_class_of_the_data() -> None:
    task = ClassificationTask("kind", DataInfo("two", ("cat", "dog"), 3), CrossEntropy())
    assert task.channels == 2
    assert list(task.class_names) == ["cat", "dog"]
    assert task.metric_arguments() == {"num_classes": 2}

"""The embedding task gives unit vectors to metrics and drops what has no label."""

import pytest
import torch

from tandem.data.datamodule import DataInfo
from tandem.errors import ConfigError
from tandem.losses.embedding import SupCon
from tandem.tasks import EmbeddingTask

INFO = DataInfo("made up", ("normal", "benign", "malignant"), 1)


def test_metrics_see_unit_vectors_of_labelled_rows() -> None:
    task = EmbeddingTask("embedding", INFO, SupCon(), dimensions=4)
    places = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    places[5] = torch.nan
    output = task.answer(places, {"label": torch.tensor([0, 0, 1, 1, 2, -100])})
    assert output is not None
    assert output.rows.tolist() == [0, 1, 2, 3, 4]
    assert output.probabilities.norm(dim=1) == pytest.approx(torch.ones(5))
    assert output.loss.isfinite()


def test_a_space_of_one_dimension_is_refused() -> None:
    with pytest.raises(ConfigError, match="dimensions is 1, but must be at least 2"):
        EmbeddingTask("embedding", INFO, SupCon(), dimensions=1)

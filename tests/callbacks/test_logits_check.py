"""A head that ends in a sigmoid is noticed, once."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from tandem.callbacks import LogitsCheck
from tandem.data.batch import Batch

Make = Callable[..., Any]


def feed(*images: torch.Tensor) -> DataLoader[Batch]:
    batches = [Batch(image=image, mask=torch.ones_like(image), id=[]) for image in images]
    return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]


def between(low: float, high: float) -> torch.Tensor:
    return torch.linspace(low, high, 24).view(2, 1, 3, 4)


@pytest.mark.parametrize(
    ("val", "warns"),
    [
        ([between(0.02, 0.97), between(0.3, 0.4)], True),
        ([between(0.0, 1.0)], True),
        ([between(0.02, 0.97), between(-0.1, 0.4)], False),
        ([between(0.02, 0.97), between(0.5, 1.01)], False),
        ([between(-4.0, 5.0)], False),
        ([between(1.5, 2.0)], False),
    ],
)
def test_a_whole_epoch_inside_0_and_1_is_a_warning(
    val: list[torch.Tensor], warns: bool, module: Make, trainer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    trainer(LogitsCheck(), max_epochs=3).fit(module(), feed(between(-1, 1)), feed(*val))
    found = [record for record in caplog.records if record.name == "tandem.callbacks.logits_check"]
    assert len(found) == warns, "once, however many epochs"
    if warns:
        assert found[0].levelno == logging.WARNING
        assert found[0].getMessage().startswith("task 'segmentation': every logit of a whole epoch lies in [0.0")
        assert "these look like probabilities where logits belong" in found[0].getMessage()


def test_the_sanity_check_says_nothing(module: Make, trainer: Make, caplog: pytest.LogCaptureFixture) -> None:
    run = trainer(LogitsCheck(), max_epochs=0, num_sanity_val_steps=1)
    run.fit(module(), feed(between(-1, 1)), feed(between(0.1, 0.9), between(-1, 1)))
    run = trainer(LogitsCheck(), num_sanity_val_steps=1)  # its two batches together do not look like probabilities
    run.fit(module(), feed(between(-1, 1)), feed(between(0.1, 0.9), between(-1, 1)))
    assert not [record for record in caplog.records if record.name == "tandem.callbacks.logits_check"]

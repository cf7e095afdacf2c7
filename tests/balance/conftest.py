"""A tiny two-task module and a silent trainer."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from tandem.balance import Balance
from tandem.data.batch import Batch
from tandem.data.datamodule import DataModule
from tandem.data.phantom import Phantom
from tandem.losses.binary import BCEFocal
from tandem.losses.multiclass import CrossEntropy
from tandem.module import MultiTaskModule
from tandem.network import make_network
from tandem.tasks import ClassificationTask, SegmentationTask, Task

BOTH = ("classification", "segmentation")


@pytest.fixture(scope="session")
def phantoms() -> DataModule:
    """Twelve training pictures, some without a label or a mask, in batches of three."""
    source = Phantom(size=32, train=12, val=6, test=6, seed=3, without_label=0.2, without_mask=0.2)
    module = DataModule(source, None, batch_size=3, workers=0, seed=1)
    module.setup()
    return module


@pytest.fixture
def make(phantoms: DataModule) -> Callable[..., MultiTaskModule]:
    """Makes a module of about 5000 weights: `make(balance class, *tasks, dropout=0.3, **options of the balance)`."""

    def made(balance: type[Balance], *tasks: str, dropout: float = 0.3, **options: Any) -> MultiTaskModule:
        torch.manual_seed(0)
        known: dict[str, Callable[[], Task]] = {
            "classification": lambda: ClassificationTask(
                "classification", phantoms.info, CrossEntropy(), dropout=dropout
            ),
            "segmentation": lambda: SegmentationTask("segmentation", phantoms.info, BCEFocal()),
        }
        chosen = {name: known[name]() for name in tasks or BOTH}
        decoder = {"decoder_channels": [8, 8, 4, 4, 4]}
        options.setdefault("weights", dict.fromkeys(chosen, 1.0))
        return MultiTaskModule(
            network=make_network(1, True, "small_cnn", "unet", decoder, {"widths": (4, 4, 4, 4, 8)}),
            tasks=chosen,
            balance=balance(tasks=tuple(chosen), **options),
            optimizer=partial(torch.optim.AdamW, lr=1e-2),
            scheduler=partial(torch.optim.lr_scheduler.ExponentialLR, gamma=0.5),
        )

    return made


def make_batch(count: int = 4, seed: int = 0, without: tuple[str, ...] = ()) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    found = Batch(
        image=torch.rand(count, 1, 32, 32, generator=generator),
        label=torch.randint(0, 3, (count,), generator=generator),
        mask=torch.randint(0, 2, (count, 1, 32, 32), generator=generator, dtype=torch.uint8),
        id=[str(row) for row in range(count)],
    )
    if "label" in without:
        found["label"] = torch.full_like(found["label"], -100)
    if "mask" in without:
        found["mask"] = torch.full_like(found["mask"], 255)
    return found


@pytest.fixture
def batch() -> Callable[..., Batch]:
    """Makes a batch of noise: `batch(count=4, seed=0, without=("mask",))`."""
    return make_batch


@pytest.fixture
def feed() -> Callable[..., DataLoader[Batch]]:
    """Makes a loader of the given batches."""
    return lambda *batches: DataLoader(batches, batch_size=None)  # type: ignore[arg-type]

"""A network whose logits are its images, so that a test knows every probability of an epoch."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from tandem.balance import FixedWeights
from tandem.data.batch import Batch
from tandem.data.datamodule import DataInfo
from tandem.losses.binary import BCE
from tandem.module import MultiTaskModule
from tandem.network import FeatureChannels, Features, Network
from tandem.tasks import SegmentationTask

INFO = DataInfo("made up", ("normal", "lesion"), 1)


class Mirror(nn.Module):
    """Returns the image plus `shift` as dense map."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = FeatureChannels(1, 1)
        self.shift = nn.Parameter(torch.zeros(()))

    def begin_epoch(self, epoch: int) -> None:
        """Nothing is frozen."""

    def forward(self, image: Tensor) -> Features:
        size = (image.shape[-2], image.shape[-1])
        return Features(image, image + self.shift, size, size)


class AsItIs(nn.Module):
    """A head that hands the dense map on."""

    def forward(self, features: Features) -> Tensor:
        assert features.dense is not None
        return features.dense


class MirrorTask(SegmentationTask):
    def make_head(self, channels: FeatureChannels) -> nn.Module:
        return AsItIs()


class Schedule(pl.Callback):
    """Sets the shift of all logits at the start of each epoch."""

    def __init__(self, shifts: Sequence[float]) -> None:
        self.shifts = shifts

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, MultiTaskModule)
        shift = pl_module.get_submodule("network").get_parameter("shift")
        shift.data.fill_(self.shifts[trainer.current_epoch])


@pytest.fixture
def schedule() -> Callable[[Sequence[float]], pl.Callback]:
    return Schedule


@pytest.fixture
def module() -> Callable[..., MultiTaskModule]:
    """Makes a module whose logits are its images, and which does not learn unless it has a rate."""

    def make(
        task: type[SegmentationTask] = MirrorTask, rate: float = 0.0, scheduler: Callable[..., Any] | None = None
    ) -> MultiTaskModule:
        return MultiTaskModule(
            network=cast(Network, Mirror()),
            tasks={"segmentation": task("segmentation", INFO, BCE())},
            balance=FixedWeights({"segmentation": 1.0}, ("segmentation",)),
            optimizer=lambda parameters: torch.optim.SGD(parameters, lr=rate),
            scheduler=scheduler,
        )

    return make


@pytest.fixture
def mirror_task() -> type[SegmentationTask]:
    return MirrorTask


@pytest.fixture
def trainer(tmp_path: Path) -> Iterator[Callable[..., pl.Trainer]]:
    """Makes a silent trainer on the CPU."""

    def make(*callbacks: pl.Callback, **options: Any) -> pl.Trainer:
        chosen = {"max_epochs": 1, "logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        return pl.Trainer(
            **{**chosen, **options},
            accelerator="cpu",
            enable_model_summary=False,
            callbacks=list(callbacks),
            default_root_dir=tmp_path,
        )

    with warnings.catch_warnings():
        for message in (".*does not have many workers.*", ".*LeafSpec.*", ".*smaller than the logging interval.*"):
            warnings.filterwarnings("ignore", message=message)
        yield make


@pytest.fixture
def batches() -> Callable[..., list[Batch]]:
    """Makes batches of logits and masks; a share of the masks' pixels is missing, the last image has no lesion."""

    def make(seed: int, sizes: Sequence[int] = (3, 2, 4), missing: float = 0.1, bias: float = 0.0) -> list[Batch]:
        generator = torch.Generator().manual_seed(seed)
        made = []
        for size in sizes:
            shape = (size, 1, 6, 5)
            mask = (torch.rand(shape, generator=generator) < 0.3).to(torch.uint8)
            mask[-1] = 0
            logits = bias + 1.5 * mask + torch.randn(shape, generator=generator)
            mask[torch.rand(shape, generator=generator) < missing] = 255
            made.append(Batch(image=logits, mask=mask, id=[f"{seed}/{i}" for i in range(size)]))
        return made

    return make

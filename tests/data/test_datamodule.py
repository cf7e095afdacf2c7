"""Lightning's data module: read once, checked, augmented in training only, identified by its pixels."""

import copy
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from tandem.data.augment import Augment
from tandem.data.datamodule import DataInfo, DataModule
from tandem.errors import DataError


def module(source: Any, augment: Augment | None = None, **settings: Any) -> DataModule:
    return DataModule(source, augment, **{"batch_size": 4, "workers": 0, "seed": 0, **settings})


def test_info_is_known_before_the_data_are_read(tiny_source: Any) -> None:
    data = module(tiny_source)
    assert data.info == DataInfo("tiny", ("normal", "benign", "malignant"), 1)
    assert tiny_source.reads == 0


def test_the_data_are_read_once(tiny_source: Any) -> None:
    data = module(tiny_source)
    for stage in ("fit", "validate", "test", None):
        data.setup(stage)
    assert tiny_source.reads == 1
    assert {split: len(samples) for split, samples in data.splits.items()} == {"train": 13, "val": 6, "test": 5}


def test_faulty_data_are_refused_and_not_kept(tiny_source: Any) -> None:
    whole = tiny_source.load()
    tiny_source.load = lambda: {**whole, "val": whole["train"]}
    data = module(tiny_source)
    with pytest.raises(DataError, match=r"image 'train/0' is in both 'train' and 'val'"):
        data.setup()
    assert data.splits == {}


# ---------------------------------------------------------------------------------------------------------- fingerprint


def test_one_pixel_of_one_split_changes_that_splits_fingerprint(tiny_source: Any) -> None:
    data = module(tiny_source)
    data.setup()
    before = data.fingerprint()
    assert set(before) == {"train", "val", "test"}
    assert len(set(before.values())) == 3
    data.splits["val"].images[3, 0, 2, 1] ^= 1
    after = data.fingerprint()
    assert after["val"] != before["val"]
    assert (after["train"], after["test"]) == (before["train"], before["test"])


def test_settings_of_the_loader_do_not_change_it(tiny_source: Any) -> None:
    first, second = module(tiny_source), module(tiny_source, Augment(rotate=9), batch_size=2, seed=7)
    first.setup()
    second.setup()
    assert first.fingerprint() == second.fingerprint()


@pytest.mark.parametrize(("files", "entries"), [("abc", 4), (None, 3)])
def test_a_source_of_files_adds_theirs(tiny_source: Any, files: str | None, entries: int) -> None:
    tiny_source.files_fingerprint = files
    data = module(tiny_source)
    data.setup()
    assert data.fingerprint().get("files") == files
    assert len(data.fingerprint()) == entries


# -------------------------------------------------------------------------------------------------------------- loaders


def test_sizes_and_order_of_the_loaders(tiny_source: Any) -> None:
    data = module(tiny_source)
    data.setup()
    assert [len(batch["id"]) for batch in data.train_dataloader()] == [4, 4, 4]
    assert [name for batch in data.val_dataloader() for name in batch["id"]] == [f"val/{row}" for row in range(6)]
    assert [name for batch in data.test_dataloader() for name in batch["id"]] == [f"test/{row}" for row in range(5)]


def test_only_training_batches_are_augmented(tiny_source: Any) -> None:
    data = module(tiny_source, Augment(horizontal_flip=1))
    data.setup()
    batch = next(iter(data.train_dataloader()))
    flipped = data.on_after_batch_transfer(batch, 0)
    assert torch.equal(flipped["mask"], batch["mask"].flip(3))
    assert not torch.equal(flipped["mask"], batch["mask"])
    for evaluated in (data.val_dataloader(), data.test_dataloader()):
        batch = next(iter(evaluated))
        assert data.on_after_batch_transfer(batch, 0) is batch


def test_without_augmentation_a_batch_is_unchanged(tiny_source: Any) -> None:
    data = module(tiny_source)
    data.setup()
    batch = next(iter(data.train_dataloader()))
    assert data.on_after_batch_transfer(batch, 0) is batch


# ---------------------------------------------------------------------------------------------------- under the trainer


class Watcher(pl.LightningModule):
    """Learns a mean and remembers every batch that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.seen: dict[str, list[Any]] = {"train": [], "val": [], "test": []}

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        self.seen["train"].append((self.current_epoch, copy.copy(batch)))
        loss: torch.Tensor = self.layer(batch["image"].mean(dim=(2, 3))).square().mean()
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.seen["val"].append((self.current_epoch, copy.copy(batch)))

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.seen["test"].append((self.current_epoch, copy.copy(batch)))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def quiet_trainer(epochs: int) -> pl.Trainer:
    return pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


@pytest.mark.filterwarnings(r"ignore:.*does not have many workers")
@pytest.mark.filterwarnings(r"ignore:.*isinstance\(treespec, LeafSpec\):FutureWarning")
@pytest.mark.filterwarnings(r"ignore:.*`isinstance\(treespec, LeafSpec\)` is deprecated")
@pytest.mark.parametrize("workers", [0, 1])
def test_lightning_sets_the_epoch_and_the_numbers_follow(tiny_source: Any, workers: int) -> None:
    data = module(tiny_source, Augment(horizontal_flip=1), workers=workers)
    watcher = Watcher()
    trainer = quiet_trainer(3)
    trainer.fit(watcher, datamodule=data)
    trainer.test(watcher, datamodule=data, verbose=False)
    assert tiny_source.reads == 1

    orders = [
        [name for epoch, batch in watcher.seen["train"] if epoch == now for name in batch["id"]] for now in range(3)
    ]
    assert [len(order) for order in orders] == [12, 12, 12]
    assert len({tuple(order) for order in orders}) == 3
    for epoch, order in enumerate(orders):  # the loader alone, with the epoch set by hand
        made = data.train_dataloader()
        sampler: Any = made.sampler
        sampler.set_epoch(epoch)
        assert [name for batch in made for name in batch["id"]] == order

    samples = data.splits["train"]
    for _, batch in watcher.seen["train"]:
        rows = [samples.ids.index(name) for name in batch["id"]]
        assert torch.equal(batch["mask"], samples.masks[rows].flip(3))
    for split in ("val", "test"):
        for _, batch in watcher.seen[split]:
            rows = [data.splits[split].ids.index(name) for name in batch["id"]]
            assert torch.equal(batch["mask"], data.splits[split].masks[rows])
            assert "draw" not in batch
    assert len(watcher.seen["test"]) == 2

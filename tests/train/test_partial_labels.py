"""Rows without label or mask: as if each task saw its own labelled rows alone, from the loss to the metric."""

import copy
import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics.classification import MulticlassAccuracy

from tandem.balance import FixedWeights
from tandem.callbacks import ThresholdSweep
from tandem.data.batch import Batch
from tandem.data.datamodule import DataModule
from tandem.data.phantom import Phantom
from tandem.data.samples import Samples
from tandem.losses import binary, multiclass
from tandem.losses.composite import Composite
from tandem.module import MultiTaskModule
from tandem.network import make_network
from tandem.tasks import ClassificationTask, SegmentationTask

BOTH = ("classification", "segmentation")
DENSE_LOSSES = {
    "bce": binary.BCE,
    "dice": binary.Dice,
    "focal": binary.Focal,
    "dice and bce": lambda: Composite({"d": binary.Dice(), "b": binary.BCE()}, {"d": 1.0, "b": 1.0}),
}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        for message in (".*many workers.*", ".*LeafSpec.*", ".*the logging interval.*", ".*no `val_dataloader`.*"):
            warnings.filterwarnings("ignore", message=message)
        yield


class Fixed:
    """A source with the splits that it is given."""

    name, classes, channels = "fixed", ("normal", "benign", "malignant"), 1

    def __init__(self, splits: dict[str, Samples]) -> None:
        self.splits = splits

    def load(self) -> dict[str, Samples]:
        return self.splits


def source() -> dict[str, Samples]:
    return Phantom(size=32, train=24, val=12, test=12, seed=3).load()


def half(count: int, seed: int) -> Tensor:
    """Half of the rows, drawn."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))[: count // 2]


def without(samples: Samples, masks: Tensor | None = None, labels: Tensor | None = None) -> Samples:
    """The split with the masks and labels of some rows missing."""
    changed = copy.deepcopy(samples)
    if masks is not None:
        changed.masks[masks] = 255
    if labels is not None:
        changed.labels[labels] = -100
    return changed


def module_of(data: DataModule, tasks: tuple[str, ...] = BOTH, loss: Any = binary.BCE) -> MultiTaskModule:
    """Both heads on one network; the same weights each time, whichever tasks are trained."""
    torch.manual_seed(0)
    accuracy = {"accuracy": lambda num_classes: MulticlassAccuracy(num_classes, average="micro")}
    known = {
        "classification": ClassificationTask("classification", data.info, multiclass.CrossEntropy(), accuracy),
        "segmentation": SegmentationTask("segmentation", data.info, loss()),
    }
    options = {"decoder_channels": [8, 8, 8, 8, 8]}
    network = make_network(1, True, "small_cnn", "unet", options, {"widths": (4, 8, 8, 8, 12)})
    for task in known.values():
        task.attach(network.channels)
    weights = {name: copy.deepcopy(task.state_dict()) for name, task in known.items()}
    chosen = {name: known[name] for name in tasks}
    module = MultiTaskModule(
        network=network,
        tasks=chosen,
        balance=FixedWeights(dict.fromkeys(chosen, 1.0), tuple(chosen)),
        optimizer=partial(torch.optim.SGD, lr=0.05, momentum=0.9),
    )
    for name, task in chosen.items():  # `attach` has drawn anew
        task.load_state_dict(weights[name])
    return module


def data_of(splits: dict[str, Samples]) -> DataModule:
    data = DataModule(Fixed(splits), None, batch_size=8, workers=0, seed=1)
    data.setup()
    return data


def trainer(*callbacks: pl.Callback, **options: Any) -> pl.Trainer:
    return pl.Trainer(
        **options,
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, callbacks=list(callbacks),
    )  # fmt: skip


def trained(splits: dict[str, Samples], tasks: tuple[str, ...] = BOTH) -> dict[str, Tensor]:
    data = data_of(splits)
    module = module_of(data, tasks)
    # in float64, since batch normalisation over a few pixels makes much of float32's last digit
    trainer(precision="64-true").fit(module, train_dataloaders=data.train_dataloader())
    return {name: value.clone() for name, value in module.state_dict().items()}


def by_hand(splits: dict[str, Samples]) -> dict[str, Tensor]:
    """The same training, written out: each loss over the rows that have its target."""
    data = data_of(splits)
    module = module_of(data).double().train()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9)
    loader: Any = data.train_dataloader()
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        for batch in loader:
            logits = module(batch["image"].double())
            labelled, masked = batch["label"] >= 0, batch["mask"].flatten(1).min(1).values < 255
            parts = []
            if labelled.any():
                parts.append(F.cross_entropy(logits["classification"][labelled], batch["label"][labelled]))
            if masked.any():
                target = batch["mask"][masked].double()
                parts.append(F.binary_cross_entropy_with_logits(logits["segmentation"][masked], target))
            optimizer.zero_grad()
            if parts:
                sum(parts, torch.zeros(())).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
    return module.state_dict()


PATTERNS = {
    "half of the masks": {"masks": half(24, 1)},
    "half of the labels": {"labels": half(24, 2)},
    "half of either": {"masks": half(24, 3), "labels": half(24, 4)},
    "all of the masks": {"masks": torch.arange(24)},
    "all of the labels": {"labels": torch.arange(24)},
}


@pytest.mark.parametrize("missing", PATTERNS.values(), ids=PATTERNS.keys())
def test_training_equals_a_loop_in_which_each_task_sees_its_own_rows(missing: dict[str, Tensor]) -> None:
    splits = source()
    splits["train"] = without(splits["train"], **missing)
    expected = by_hand(splits)
    for name, value in trained(splits).items():
        if name in expected and value.is_floating_point() and "meters" not in name:
            torch.testing.assert_close(value, expected[name], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("pattern", "left"), [("all of the masks", BOTH[:1]), ("all of the labels", BOTH[1:])])
def test_without_any_target_of_one_task_the_other_is_trained_as_if_alone(pattern: str, left: tuple[str, ...]) -> None:
    splits = source()
    alone = trained(splits, left)
    both = trained({**splits, "train": without(splits["train"], **PATTERNS[pattern])})
    shared = {name: value for name, value in alone.items() if "meters" not in name}
    assert shared
    assert all(torch.equal(both[name], value) for name, value in shared.items())


def gradients(module: MultiTaskModule, batch: Batch) -> tuple[dict[str, Tensor], list[Tensor | None]]:
    module.zero_grad()
    outputs = module.shared_step(batch, "train")
    losses = {name: output.loss.detach() for name, output in outputs.items()}
    sum((output.loss for output in outputs.values()), torch.zeros(())).backward()  # type: ignore[no-untyped-call]
    return losses, [parameter.grad for parameter in module.network.parameters()]


@pytest.mark.parametrize("loss", DENSE_LOSSES.values(), ids=DENSE_LOSSES.keys())
def test_losses_and_gradients_are_those_of_the_labelled_rows(loss: Any) -> None:
    """Of a network whose rows do not see each other: batch normalisation is in evaluation mode."""
    splits = source()
    data = data_of(splits)
    rows, labelled = torch.arange(24), torch.ones(24, dtype=torch.bool)
    labelled[half(24, 1)] = False
    module = module_of(data, BOTH[1:], loss).eval()
    some = without(splits["train"], masks=half(24, 1)).take(rows)
    found, of_some = gradients(module, some)
    expected, of_few = gradients(module, splits["train"].take(rows[labelled]))
    torch.testing.assert_close(found, expected)
    for one, other in zip(of_some, of_few, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


class Poisoned(nn.Module):
    """A head whose logits are not a number wherever the target is missing."""

    def __init__(self, head: nn.Module, where: Tensor) -> None:
        super().__init__()
        self.head, self.where = head, where

    def forward(self, features: Any) -> Tensor:
        logits: Tensor = self.head(features)
        return logits.masked_fill(self.where.view(-1, *[1] * (logits.ndim - 1)).expand_as(logits), float("nan"))


@pytest.mark.parametrize("loss", DENSE_LOSSES.values(), ids=DENSE_LOSSES.keys())
def test_nothing_leaks_from_rows_without_a_target(loss: Any) -> None:
    """Whatever the network predicts for them, even nan: losses, gradients, and metrics stay."""
    splits = source()
    data = data_of(splits)
    masks, labels = half(24, 1), half(24, 2)
    batch = without(splits["train"], masks, labels).take(torch.arange(24))
    module = module_of(data, loss=loss).eval()
    losses, expected = gradients(module, batch)
    values = {name: task.compute("train") for name, task in module.tasks.items()}
    for name, rows in (("segmentation", masks), ("classification", labels)):
        where = torch.zeros(24, dtype=torch.bool)
        where[rows] = True
        module.tasks[name].head = Poisoned(module.tasks[name].head, where)
    found, poisoned = gradients(module, batch)
    torch.testing.assert_close(found, losses)
    for one, other in zip(poisoned, expected, strict=True):
        torch.testing.assert_close(one, other)
    for name, task in module.tasks.items():
        torch.testing.assert_close(task.compute("train"), values[name])


@pytest.mark.parametrize("loss", DENSE_LOSSES.values(), ids=DENSE_LOSSES.keys())
def test_nothing_leaks_from_pixels_under_a_placeholder(loss: Any) -> None:
    task = SegmentationTask("segmentation", data_of(source()).info, loss())
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 1, 8, 8, generator=generator)
    mask = torch.randint(0, 2, (4, 1, 8, 8), generator=generator).to(torch.uint8)
    mask[:, :, :, 5:] = 255
    results = []
    for filler in (0.0, 50.0, -50.0, float("nan")):
        given = torch.where(mask == 255, torch.tensor(filler), logits).requires_grad_()
        output = task.answer(given, {"mask": mask})
        assert output is not None
        output.loss.backward()  # type: ignore[no-untyped-call]
        assert given.grad is not None
        assert not given.grad[mask == 255].any()
        results.append((output.loss.detach(), given.grad[mask != 255]))
    for loss_value, gradient in results[1:]:
        torch.testing.assert_close(loss_value, results[0][0])
        torch.testing.assert_close(gradient, results[0][1])


def test_metrics_are_those_of_the_labelled_rows() -> None:
    splits = source()
    masks, labels = half(12, 5), half(12, 6)
    keep_masks = [row for row in range(12) if row not in masks.tolist()]
    keep_labels = [row for row in range(12) if row not in labels.tolist()]

    def validated(val: Samples) -> dict[str, float]:
        data = data_of(splits)
        made = module_of(data)
        given = DataModule(Fixed({**splits, "val": val}), None, batch_size=5, workers=0, seed=1)
        given.splits = given.source.load()
        (values,) = trainer(ThresholdSweep()).validate(made, dataloaders=given.val_dataloader(), verbose=False)
        return dict(values)

    found = validated(without(splits["val"], masks, labels))
    for task, kept in (("segmentation", keep_masks), ("classification", keep_labels)):
        expected = {key: value for key, value in validated(splits["val"].pick(kept)).items() if f"/{task}/" in key}
        assert expected
        assert {key: found[key] for key in expected} == pytest.approx(expected, rel=1e-5, nan_ok=True)


@pytest.mark.parametrize(("missing", "absent"), [({"masks": ...}, "segmentation"), ({"labels": ...}, "classification")])
def test_a_metric_of_which_no_row_is_known_is_absent(missing: dict[str, Any], absent: str) -> None:
    splits = source()
    everything = torch.arange(12)
    splits["val"] = without(splits["val"], **dict.fromkeys(missing, everything))
    data = data_of(splits)
    (values,) = trainer(ThresholdSweep()).validate(module_of(data), dataloaders=data.val_dataloader(), verbose=False)
    assert values
    assert not [key for key in values if absent in key]

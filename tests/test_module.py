"""The Lightning module: one pass, the sum of the tasks' gradients, whole-split values, and runs that repeat."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchmetrics.classification import MulticlassAccuracy

import tandem.module
from tandem.balance import FixedWeights
from tandem.callbacks import CollapseWatch, MetricsCSV, Panels, ThresholdSweep
from tandem.data.batch import Batch
from tandem.data.datamodule import DataModule
from tandem.data.phantom import Phantom
from tandem.losses.binary import BCEFocal
from tandem.losses.multiclass import CrossEntropy
from tandem.module import MultiTaskModule
from tandem.network import Network, make_network
from tandem.tasks import ClassificationTask, SegmentationTask, Task
from tandem.tasks.output import TaskOutput

BOTH = ("classification", "segmentation")
UNET = {"decoder_channels": [16, 16, 8, 8, 8]}


@pytest.fixture(scope="module")
def data() -> DataModule:
    source = Phantom(size=32, train=18, val=12, test=12, seed=3, without_label=0.2, without_mask=0.2)
    module = DataModule(source, None, batch_size=6, workers=0, seed=1)
    module.setup()
    return module


@pytest.fixture(scope="module")
def make(data: DataModule) -> Callable[..., MultiTaskModule]:
    """Makes a small module; the same seed, the same weights."""

    def made(
        *tasks: str, seed: int = 0, weights: dict[str, float] | None = None, dropout: float = 0.0, **options: Any
    ) -> MultiTaskModule:
        torch.manual_seed(seed)
        accuracy = {"accuracy": lambda num_classes: MulticlassAccuracy(num_classes, average="micro")}
        known: dict[str, Callable[[], Task]] = {
            "classification": lambda: ClassificationTask(
                "classification", data.info, CrossEntropy(), accuracy, dropout=dropout
            ),
            "segmentation": lambda: SegmentationTask("segmentation", data.info, BCEFocal()),
        }
        chosen = {name: known[name]() for name in tasks or BOTH}
        dense = any(task.dense for task in chosen.values())
        return MultiTaskModule(
            network=make_network(1, dense, "small_cnn", "unet", UNET, {"widths": (4, 8, 8, 8, 12)}),
            tasks=chosen,
            balance=FixedWeights(weights or dict.fromkeys(chosen, 1.0), tuple(chosen)),
            **{"optimizer": partial(torch.optim.AdamW, lr=1e-2), "seed": seed, **options},
        )

    return made


def batch(count: int = 6, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    return Batch(
        image=torch.rand(count, 1, 32, 32, generator=generator),
        label=torch.randint(0, 3, (count,), generator=generator),
        mask=torch.randint(0, 2, (count, 1, 32, 32), generator=generator, dtype=torch.uint8),
        id=[str(row) for row in range(count)],
    )


def feed(*batches: Batch) -> DataLoader[Batch]:
    return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]


def without(source: Batch, *targets: str) -> Batch:
    """The batch with every label or mask missing."""
    changed = source.copy()
    if "label" in targets:
        changed["label"] = torch.full_like(source["label"], -100)
    if "mask" in targets:
        changed["mask"] = torch.full_like(source["mask"], 255)
    return changed


def weights(module: MultiTaskModule) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


class Record(pl.Callback):
    """Keeps what training saw and learnt, step by step and epoch by epoch."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.losses: list[float] = []
        self.values: list[dict[str, float]] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.losses.append(float(outputs["loss"]) if outputs else math.nan)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.values.append({key: float(value) for key, value in trainer.callback_metrics.items()})


def test_it_can_be_read_in_a_minute() -> None:
    source = Path(tandem.module.__file__).read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 190
    assert "losses" not in "".join(line for line in source.splitlines() if line.startswith(("import", "from")))


def test_one_pass_through_the_encoder_answers_both_tasks(make: Callable[..., MultiTaskModule]) -> None:
    module = make()
    calls: list[None] = []
    module.get_submodule("network.encoder").register_forward_hook(lambda *_: calls.append(None))
    outputs = module.shared_step(batch(), "train")
    assert set(outputs) == set(BOTH)
    assert len(calls) == 1


@pytest.mark.parametrize("task", BOTH)
def test_one_task_alone_is_trained_alone(make: Callable[..., MultiTaskModule], task: str) -> None:
    module = make(task)
    assert set(module(batch()["image"])) == set(module.shared_step(batch(), "train")) == {task}
    assert isinstance(module.network, Network)
    assert (module.network.decoder is None) == (task == "classification")


@pytest.mark.parametrize("chosen", [(1.0, 1.0), (0.25, 3.0), (0.0, 1.0)])
def test_the_gradient_is_the_weighted_sum_of_the_tasks_gradients(
    make: Callable[..., MultiTaskModule], trainer: Callable[..., pl.Trainer], chosen: tuple[float, float]
) -> None:
    module = make(weights=dict(zip(BOTH, chosen, strict=True)))
    shared = list(module.get_submodule("network.encoder").parameters())
    outputs = module.shared_step(batch(), "train")
    parts = [torch.autograd.grad(outputs[name].loss, shared, retain_graph=True) for name in BOTH]
    expected = [chosen[0] * one + chosen[1] * two for one, two in zip(*parts, strict=True)]

    found: list[Tensor] = []

    class Keep(pl.Callback):
        def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            found.extend(parameter.grad.clone() for parameter in shared if parameter.grad is not None)

    trainer(Keep(), limit_val_batches=0).fit(module, feed(batch()), feed(batch()))
    assert len(found) == len(expected)
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)


def test_values_of_a_split_do_not_depend_on_its_batches(
    make: Callable[..., MultiTaskModule], trainer: Callable[..., pl.Trainer]
) -> None:
    whole = batch(12)
    whole["label"][[1, 2, 8]] = -100
    whole["mask"][[0, 8]] = 255
    answers = []
    for size in (12, 5, 2):
        parts = [
            Batch(image=whole["image"][i : i + size], label=whole["label"][i : i + size],
                  mask=whole["mask"][i : i + size], id=whole["id"][i : i + size])
            for i in range(0, 12, size)
        ]  # fmt: skip
        (found,) = trainer(ThresholdSweep()).test(make(), feed(*parts), verbose=False)
        answers.append(found)
    for other in answers[1:]:
        assert other == pytest.approx(answers[0], rel=1e-5, nan_ok=True)
    found = answers[0]
    assert found["test/loss"] == pytest.approx(found["test/classification/loss"] + found["test/segmentation/loss"])


def test_the_monitored_loss_is_the_balance_of_the_split_s_losses(
    make: Callable[..., MultiTaskModule], trainer: Callable[..., pl.Trainer]
) -> None:
    module = make(weights={"classification": 0.5, "segmentation": 4.0})
    first, second = batch(4, seed=1), without(batch(2, seed=2), "label")
    (found,) = trainer().validate(module, feed(first, second), verbose=False)
    module.eval()
    with torch.no_grad():
        one, two = module.shared_step(first, "val"), module.shared_step(second, "val")
    assert set(two) == {"segmentation"}
    segmentation = (4 * one["segmentation"].loss + 2 * two["segmentation"].loss) / 6
    assert found["val/classification/loss"] == pytest.approx(one["classification"].loss.item(), rel=1e-5)
    assert found["val/segmentation/loss"] == pytest.approx(segmentation.item(), rel=1e-5)
    expected = 0.5 * one["classification"].loss + 4.0 * segmentation
    assert found["val/loss"] == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.filterwarnings("ignore:.*`training_step` returned `None`.*")
@pytest.mark.parametrize("empty", [0, 1, 2], ids=["first", "middle", "last"])
def test_a_batch_without_any_target_is_skipped(
    make: Callable[..., MultiTaskModule], trainer: Callable[..., pl.Trainer], empty: int
) -> None:
    batches = [batch(seed=1), batch(seed=2)]
    batches.insert(empty, without(batch(seed=3), "label", "mask"))
    before = weights(module := make())

    class Watch(pl.Callback):
        steps: int = 0

        def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
            self.before = weights(pl_module)

        def on_train_batch_end(
            self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
        ) -> None:
            learnt = any(not torch.equal(value, self.before[name]) for name, value in pl_module.named_parameters())
            assert learnt == (batch_idx != empty)
            self.steps += 1

    watch, record = Watch(), Record()
    trainer(watch, record).fit(module, feed(*batches), feed(batch()))
    assert watch.steps == 3
    assert not equal(before, weights(module))
    losses = [loss for loss in record.losses if not math.isnan(loss)]
    assert len(losses) == 2
    assert record.values[0]["train/loss"] == pytest.approx(sum(losses) / 2, rel=1e-5)


def test_a_batch_that_lacks_one_target_trains_the_other_task(
    make: Callable[..., MultiTaskModule], trainer: Callable[..., pl.Trainer]
) -> None:
    before = weights(module := make())
    trainer(limit_val_batches=0).fit(module, feed(without(batch(), "mask")), feed(batch()))
    learnt = dict(module.named_parameters())
    changed = {name.split(".")[1] for name in learnt if not torch.equal(learnt[name], before[name])}
    assert changed == {"encoder", "classification"}, "neither decoder nor the other head"


def test_callbacks_get_whole_answers(make: Callable[..., MultiTaskModule], trainer: Callable[..., pl.Trainer]) -> None:
    seen: list[TaskOutput] = []

    class Look(pl.Callback):
        def on_train_batch_end(
            self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
        ) -> None:
            seen.extend(outputs["outputs"].values())

        def on_validation_batch_end(
            self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
        ) -> None:
            seen.extend(outputs.values())

    trainer(Look()).fit(make(), feed(batch(1), batch()), feed(batch(1)))
    assert len(seen) == 6
    assert [tuple(output.probabilities.shape) for output in seen[2:]] == [
        (6, 3),
        (6, 1, 32, 32),
        (1, 3),
        (1, 1, 32, 32),
    ]
    for output in seen:
        assert isinstance(output, TaskOutput)
        assert not output.probabilities.requires_grad
        assert output.rows.shape == (len(output.probabilities),)


def test_names_of_logged_values(make: Callable[..., MultiTaskModule], trainer: Callable[..., pl.Trainer]) -> None:
    run = trainer(ThresholdSweep())
    run.fit(make(), feed(batch()), feed(batch(seed=1)))
    expected = {
        "train/step_loss", "train/classification/step_loss", "train/segmentation/step_loss",
        *(f"{stage}/{key}" for stage in ("train", "val") for key in (
            "loss", "classification/loss", "classification/accuracy",
            "segmentation/loss", "segmentation/loss/bce", "segmentation/loss/focal",
            "segmentation/loss/bce/unweighted", "segmentation/loss/focal/unweighted",
        )),
        "train/segmentation/weight/bce", "train/segmentation/weight/focal",
        *(f"val/segmentation/{key}" for key in (
            "dice", "iou", "threshold", "dice_at_0.5", "dice_lesion_at_0.5", "dice_global", "dice_lesion", "iou_lesion",
            "precision", "recall", "specificity_empty",
        )),
    }  # fmt: skip
    assert set(run.callback_metrics) == expected


def test_the_scheduler_steps_at_each_epoch_s_end(
    make: Callable[..., MultiTaskModule], trainer: Callable[..., pl.Trainer]
) -> None:
    record = Record()
    module = make(scheduler=partial(torch.optim.lr_scheduler.ExponentialLR, gamma=0.5))
    trainer(record, max_epochs=3).fit(module, feed(batch(), batch(seed=1)), feed(batch()))
    assert record.rates == pytest.approx([1e-2, 5e-3, 2.5e-3])


def test_a_plateau_scheduler_follows_the_monitor(
    make: Callable[..., MultiTaskModule], trainer: Callable[..., pl.Trainer]
) -> None:
    record = Record()
    plateau = partial(torch.optim.lr_scheduler.ReduceLROnPlateau, mode="max", factor=0.5, patience=0, threshold=10.0)
    module = make(scheduler=plateau, monitor="val/segmentation/dice")
    trainer(record, ThresholdSweep(), max_epochs=3).fit(module, feed(batch()), feed(batch(seed=1)))
    assert record.rates == pytest.approx([1e-2, 1e-2, 5e-3]), "nothing improves tenfold"


def test_losses_and_balance_are_trained_too(make: Callable[..., MultiTaskModule]) -> None:
    class Learnt(FixedWeights):
        def __init__(self) -> None:
            super().__init__(dict.fromkeys(BOTH, 1.0), BOTH)
            self.scale = nn.Parameter(torch.ones(()))

    module = make()
    module.balance = Learnt()
    (group,) = module.configure_optimizers().param_groups
    assert {id(parameter) for parameter in module.parameters()} == {id(parameter) for parameter in group["params"]}
    assert any(parameter is module.balance.scale for parameter in group["params"])


def test_two_trainings_from_one_seed_are_equal_bit_for_bit(
    make: Callable[..., MultiTaskModule], trainer: Callable[..., pl.Trainer], data: DataModule
) -> None:
    def trained(seed: int) -> tuple[dict[str, Tensor], list[float], list[dict[str, float]]]:
        record, module = Record(), make(seed=seed, dropout=0.5)
        trainer(ThresholdSweep(), record, max_epochs=2).fit(module, datamodule=data)
        return weights(module), record.losses, record.values

    first, second, other = trained(0), trained(0), trained(1)
    assert equal(first[0], second[0])
    assert first[1:] == second[1:]
    assert not equal(first[0], other[0])


def test_a_resumed_run_with_dropout_is_the_unbroken_one(
    make: Callable[..., MultiTaskModule], trainer: Callable[..., pl.Trainer], data: DataModule, tmp_path: Path
) -> None:
    whole = make(dropout=0.5)
    record = Record()
    trainer(ThresholdSweep(), record, max_epochs=3).fit(whole, datamodule=data)

    half = trainer(ThresholdSweep(), max_epochs=1)
    half.fit(make(dropout=0.5), datamodule=data)
    half.save_checkpoint(tmp_path / "last.ckpt")
    torch.manual_seed(99)
    torch.rand(7)
    resumed, rest = make(seed=5, dropout=0.5), Record()
    resumed.seed = 0
    run = trainer(ThresholdSweep(), rest, max_epochs=3)
    run.fit(resumed, datamodule=data, ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert equal(weights(whole), weights(resumed))
    assert rest.losses == record.losses[3:]
    assert rest.values == record.values[1:]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_every_batch_has_its_own_random_numbers(
    make: Callable[..., MultiTaskModule], trainer: Callable[..., pl.Trainer], accumulate: int
) -> None:
    drawn: list[float] = []

    module = make()
    module.get_submodule("network").register_forward_hook(lambda *_: drawn.append(torch.rand(()).item()))
    run = trainer(limit_val_batches=0, accumulate_grad_batches=accumulate, max_epochs=2)
    run.fit(module, feed(batch(), batch(), batch(), batch()), feed(batch()))
    assert len(set(drawn)) == len(drawn) == 8


def test_phantoms_train_with_every_callback(
    make: Callable[..., MultiTaskModule], trainer: Callable[..., pl.Trainer], data: DataModule, tmp_path: Path
) -> None:
    best = pl.callbacks.ModelCheckpoint(
        tmp_path, "best", monitor="val/segmentation/dice", mode="max", save_on_train_epoch_end=True
    )
    callbacks = [
        ThresholdSweep(),
        MetricsCSV(tmp_path / "metrics.csv"),
        Panels(tmp_path / "panels"),
        CollapseWatch(),
        best,
    ]
    module = make()
    run = trainer(*callbacks, max_epochs=2, enable_checkpointing=True, num_sanity_val_steps=2)
    run.fit(module, datamodule=data)
    threshold = torch.load(tmp_path / "best.ckpt", weights_only=True)["state_dict"][
        "task_modules.segmentation.threshold"
    ]
    (found,) = run.test(module, datamodule=data, ckpt_path=tmp_path / "best.ckpt", weights_only=True, verbose=False)
    assert found["test/segmentation/threshold"] == pytest.approx(threshold.item())

    samples = data.splits["test"]
    module.eval()
    with torch.no_grad():
        p = torch.sigmoid(module(samples.take(range(12))["image"])["segmentation"])
    answer, truth = p >= threshold, samples.masks == 1
    dice = 2 * (answer & truth).sum() / (answer.sum() + truth.sum())
    assert found["test/segmentation/dice"] == pytest.approx(dice.item(), abs=2e-3)
    assert (tmp_path / "panels" / "test_segmentation.png").stat().st_size > 0
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 3

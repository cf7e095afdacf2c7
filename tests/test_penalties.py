"""Penalties: their gradient once a step, whatever else happens in it."""

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from tandem.balance import FixedWeights
from tandem.data.batch import Batch
from tandem.data.datamodule import DataInfo
from tandem.errors import ConfigError
from tandem.losses.multiclass import CrossEntropy
from tandem.module import MultiTaskModule
from tandem.network import make_network
from tandem.penalties import L1, L2, Penalties
from tandem.tasks import ClassificationTask

LR = 0.5


def make(**penalties: Any) -> MultiTaskModule:
    torch.manual_seed(0)
    task = ClassificationTask("grade", DataInfo("made up", ("a", "b"), 1), CrossEntropy())
    return MultiTaskModule(
        network=make_network(1, False, "small_cnn", "unet", backbone_options={"widths": (2, 2, 2, 2, 3)}),
        tasks={"grade": task},
        balance=FixedWeights({"grade": 1.0}, ("grade",)),
        optimizer=partial(torch.optim.SGD, lr=LR),
        penalties=penalties,
    )


@pytest.fixture
def fit() -> Iterator[Callable[..., pl.Trainer]]:
    """Trains for an epoch over some batches."""

    def fitted(module: MultiTaskModule, *labels: int, **options: Any) -> pl.Trainer:
        generator = torch.Generator().manual_seed(1)
        batches = [
            Batch(image=torch.rand(3, 1, 32, 32, generator=generator), label=torch.tensor([0, 1, 1]), id=list("abc"))
            for _ in labels
        ]
        for batch, label in zip(batches, labels, strict=True):
            if label < 0:
                batch["label"] = torch.full((3,), -100)
        trainer = pl.Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            limit_val_batches=0,
            num_sanity_val_steps=0,
            **options,
        )
        feed: DataLoader[Batch] = DataLoader(batches, batch_size=None)  # type: ignore[arg-type]
        trainer.fit(module, feed, feed)
        return trainer

    with warnings.catch_warnings():
        for message in (".*does not have many workers.*", ".*LeafSpec.*", ".*`None`.*", ".*logging interval.*"):
            warnings.filterwarnings("ignore", message=message)
        yield fitted


def values(module: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


@pytest.mark.parametrize("kind", [L1, L2])
@pytest.mark.parametrize(
    ("count", "options"),
    [(1, {}), (2, {"accumulate_grad_batches": 2}), (1, {"precision": "bf16-mixed"})],
    ids=["plain", "accumulated", "bf16"],
)
def test_one_step_with_a_penalty_is_one_without_and_the_penalty_s_own(
    fit: Callable[..., pl.Trainer], kind: Any, count: int, options: dict[str, Any]
) -> None:
    start = values(make())
    fit(plain := make(), *[1] * count, **options)
    penalised = make(size=kind(weight=0.01, parameters=["network.*.weight"]))
    trainer = fit(penalised, *[1] * count, **options)
    without, total = values(plain), 0.0
    for name, parameter in values(penalised).items():
        w = start[name]
        meant = name.startswith("network.") and name.endswith(".weight")
        gradient = (2 * w if kind is L2 else w.sign()) * 0.01 * meant
        torch.testing.assert_close(parameter, without[name] - LR * gradient, rtol=1e-5, atol=1e-6)
        total += meant * 0.01 * float((w.square() if kind is L2 else w.abs()).sum())
    assert float(trainer.callback_metrics["train/penalty/size"]) == pytest.approx(total, rel=1e-5)


def test_penalties_add_up_and_a_parameter_without_gradient_is_shrunk_too() -> None:
    module = nn.Linear(2, 1)
    module.bias.grad = torch.ones(1)
    weight, bias = module.weight.detach().clone(), module.bias.detach().clone()
    penalties = Penalties({"a": L1(0.5, ["weight"]), "b": L2(0.25, ["*"])}, module.named_parameters())
    found = penalties.add_gradients(torch.optim.SGD(module.parameters()))
    assert set(found) == {"train/penalty/a", "train/penalty/b"}
    torch.testing.assert_close(module.weight.grad, 0.5 * weight.sign() + 0.5 * weight)
    torch.testing.assert_close(module.bias.grad, 1 + 0.5 * bias)


def test_clipping_sees_the_penalty(fit: Callable[..., pl.Trainer]) -> None:
    start = values(make())
    module = make(size=L2(weight=1e3, parameters=["network", "tasks"]))
    fit(module, 1, gradient_clip_val=1e-2)
    moved = torch.cat([(parameter - start[name]).flatten() for name, parameter in values(module).items()])
    assert float(moved.norm()) == pytest.approx(LR * 1e-2, rel=1e-3)


def test_a_batch_without_any_target_is_still_passed_over(fit: Callable[..., pl.Trainer]) -> None:
    start = values(make())
    module = make(size=L2(weight=0.1, parameters=["network"]))
    trainer = fit(module, -1)
    assert all(torch.equal(parameter, start[name]) for name, parameter in values(module).items())
    assert "train/penalty/size" not in trainer.callback_metrics


def test_frozen_parameters_have_no_penalty() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    module[0].requires_grad_(False)
    module[1].bias.grad = torch.zeros(1)
    penalties = Penalties({"all": L1(1.0, ["*"]), "first": L1(1.0, ["0"])}, module.named_parameters())
    found = penalties.add_gradients(torch.optim.SGD(module[1].parameters()))
    assert found["train/penalty/first"] == 0
    torch.testing.assert_close(
        found["train/penalty/all"], sum(p.detach().abs().sum() for p in module[1].parameters()) + torch.zeros(())
    )
    assert module[0].weight.grad is None


@pytest.mark.parametrize(
    ("penalty", "message"),
    [
        (lambda: L1(0, ["network"]), "weight = 0 would do nothing; give a number above 0"),
        (lambda: L2(-1.0, ["network"]), "weight = -1.0 is outside"),
        (lambda: L2(True, ["network"]), "weight = True is not a finite number"),
        (lambda: L1(1.0, []), "parameters is empty; name some"),
        (lambda: make(size=L1(1.0, ["network.decoder"])), r"penalties\.size\.parameters: no parameter is called"),
        (lambda: make(size=L1(1.0, ["network", "tasks.grad"])), "did you mean 'tasks.grade'"),
    ],
)  # fmt: skip
def test_what_means_nothing_is_refused(penalty: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        penalty()


def test_one_name_may_stand_without_a_list() -> None:
    assert L1(1.0, "network").parameters == ["network"]

"""The rules that every loss keeps, over all of conf/loss: a new file there is tested without an edit here."""

import math
from functools import cache
from itertools import product
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import Tensor, nn

from tandem.errors import DataError
from tandem.losses import KINDS
from tandem.losses.data_dependent import deferred_losses, resolve

CONF = Path(__file__).parents[2] / "conf"

# Further settings that take another path through the code.
VARIANTS = [
    "binary/focal gamma=0.5 alpha=0.25",
    "binary/asymmetric gamma_pos=0.5 gamma_neg=0.5",
    "binary/asymmetric clip=0",
    "binary/dice per=batch",
    "binary/dice smooth=1",
    "binary/lovasz per=batch",
    "binary/focal_tversky gamma=3 per=batch",
    "binary/unified_focal asymmetric=false per=batch",
    "binary/unified_focal gamma=0 weight=0.3",
    "multiclass/cross_entropy weight=[0.5,2,1.25] label_smoothing=0.1",
    "multiclass/cross_entropy weight=balanced",
    "multiclass/focal gamma=0.5 alpha=[0.5,2,1.25]",
    "multiclass/focal alpha=balanced",
    "multiclass/dice per=batch",
    "multiclass/lovasz per=batch",
    "multiclass/poly epsilon=-1",
]
FILES = [f"{path.parent.name}/{path.stem}" for path in sorted((CONF / "loss").glob("*/*.yaml"))]
CHOICES = FILES + VARIANTS


def of(*kinds: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("choice", [choice for choice in CHOICES if kind_of(choice) in kinds])


def kind_of(choice: str) -> str:
    return choice.partition("/")[0]


EACH = of(*KINDS)


@cache
def load(choice: str) -> nn.Module:
    name, *params = choice.split()
    kind = kind_of(choice)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(f"loss/{name}", [f"loss.{kind}.{param}" for param in params])
    loss = instantiate(config.loss[kind], _convert_="all")
    assert isinstance(loss, nn.Module)
    resolve(loss, torch.tensor([[9, 1]] if kind == "binary" else [3, 1, 2]), "abc")
    return loss


def total(loss: nn.Module, logits: Tensor, target: Tensor) -> Tensor:
    value = loss(logits, target)
    if isinstance(value, dict):
        weights: dict[str, float] = loss.weights  # type: ignore[assignment]
        value = sum(weights[name] * term for name, term in value.items())
    assert isinstance(value, Tensor)
    assert value.shape == ()
    return value


def gradient(loss: nn.Module, logits: Tensor, target: Tensor) -> Tensor:
    logits = logits.clone().requires_grad_()
    total(loss, logits, target).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    return logits.grad


def close(found: Tensor, expected: Tensor | float) -> None:
    torch.testing.assert_close(found, torch.as_tensor(expected, dtype=found.dtype), atol=1e-6, rtol=1e-6)


# ----------------------------------------------------------------------------------------------- cases for each kind


def shapes(choice: str) -> list[tuple[int, ...]]:
    """Of the logits: flat, dense, and with three spatial dimensions, as far as the loss takes them."""
    if kind_of(choice) == "embedding":
        return [(12, 4)]
    dense = [(6, 3, 6, 5), (4, 3, 3, 4, 2)]
    return dense if load(choice).needs_maps else [(6, 3), *dense]


def targets(kind: str, shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
    if kind == "binary":
        target = (torch.rand(shape, generator=rng) < 0.3).long()
        (target[:1] if len(shape) == 2 else target[..., 0]).fill_(1)  # every cell has foreground
        return target
    if kind == "multiclass":
        target = torch.randint(0, shape[1], (shape[0], *shape[2:]), generator=rng)
        every = torch.arange(shape[1])  # no class is absent
        (target if len(shape) == 2 else target.flatten(1).T)[: len(every)] = every.view(-1, *[1] * (len(shape) > 2))
        return target
    if kind == "regression":
        return torch.randn(shape, generator=rng, dtype=torch.float64)
    return torch.arange(shape[0]) % 3


def case(choice: str, shape: tuple[int, ...], seed: int = 0) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(shape, generator=rng, dtype=torch.float64)
    return logits, targets(kind_of(choice), shape, rng)


MISSING = {"binary": 255, "multiclass": -100, "regression": math.nan, "embedding": -100}


def without(choice: str, target: Tensor, where: Tensor | slice) -> Tensor:
    target = target.clone()
    target[where] = MISSING[kind_of(choice)]
    return target


def gone(choice: str, logits: Tensor, target: Tensor) -> Tensor:
    """Where the logits have no target, in their shape."""
    kind = kind_of(choice)
    missing = target.isnan() if kind == "regression" else target == MISSING[kind]
    return (missing if missing.ndim == logits.ndim else missing.unsqueeze(1)).expand_as(logits)


def some_missing(choice: str, target: Tensor) -> Tensor:
    """One row without a target, and some pixels of another if the loss allows it."""
    target = without(choice, target, slice(1, 2))
    if target.ndim < 3 or load(choice).needs_maps:
        return target
    where = torch.zeros_like(target, dtype=torch.bool)
    where[2, ..., -1:] = True
    return without(choice, target, where)


# ----------------------------------------------------------------------------------------------------------- numbers


@EACH
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_value_and_gradient_are_finite_at_100(choice: str, dtype: torch.dtype) -> None:
    loss = load(choice)
    for shape in shapes(choice):
        _, target = case(choice, shape)
        mixed = torch.rand(shape, generator=torch.Generator().manual_seed(1)) < 0.5
        answers = (
            [target] if target.is_floating_point() else [target, torch.zeros_like(target), torch.ones_like(target)]
        )
        for high, answer in product([mixed, torch.ones_like(mixed), torch.zeros_like(mixed)], answers):
            logits = torch.where(high, 100.0, -100.0).to(dtype)
            assert total(loss, logits, answer).isfinite()
            assert gradient(loss, logits, answer).isfinite().all()


@EACH
@pytest.mark.parametrize("given", [torch.float16, torch.bfloat16], ids=str)
def test_computes_in_float32_at_least(choice: str, given: torch.dtype) -> None:
    loss = load(choice)
    for shape in shapes(choice):
        logits, target = case(choice, shape)
        assert total(loss, logits, target).dtype == torch.float64
        half = logits.to(given)
        assert total(loss, half, target).dtype == torch.float32
        close(total(loss, half, target), total(loss, half.float(), target).item())


@EACH
def test_any_dtype_of_target_means_the_same(choice: str) -> None:
    whole = [torch.uint8, torch.int8, torch.int16, torch.int32]
    dtypes = {
        "binary": [torch.bool, *whole, torch.float16, torch.bfloat16, torch.float32, torch.float64],
        "multiclass": whole,
        "regression": [torch.float64],
        "embedding": whole,
    }
    for shape in shapes(choice):
        logits, target = case(choice, shape)
        for dtype in dtypes[kind_of(choice)]:
            assert torch.equal(total(load(choice), logits, target.to(dtype)), total(load(choice), logits, target))


@EACH
def test_gradient_is_that_of_the_value(choice: str) -> None:
    loss = load(choice)
    for shape in shapes(choice):
        logits, target = case(choice, shape)
        target = some_missing(choice, target)
        if kind_of(choice) == "binary":
            target[0, 1] = 0  # an empty cell among the others
        assert torch.autograd.gradcheck(lambda z, y=target: total(loss, z, y), logits.requires_grad_(), fast_mode=True)


@of("binary", "multiclass", "regression")
def test_a_batch_of_runs_can_be_mapped_over(choice: str) -> None:
    loss = load(choice)
    if loss.needs_maps:
        return  # MONAI looks at values
    for shape in shapes(choice):
        target = some_missing(choice, case(choice, shape)[1])
        logits = torch.stack([case(choice, shape, seed)[0] for seed in range(3)])
        mapped = torch.func.vmap(lambda z, y=target: total(loss, z, y))(logits)
        close(mapped, torch.stack([total(loss, z, target) for z in logits]))


@EACH
def test_descent_lowers_it(choice: str) -> None:
    loss = load(choice)
    for shape in shapes(choice):
        logits, target = case(choice, shape)
        free = logits.clone().requires_grad_()
        descent = torch.optim.Adam([free], lr=0.05)
        for _ in range(20):
            descent.zero_grad()
            total(loss, free, target).backward()  # type: ignore[no-untyped-call]
            descent.step()
        assert total(loss, free, target) < total(loss, logits, target)


@EACH
def test_nothing_is_changed_or_kept(choice: str) -> None:
    loss = load(choice)
    logits, target = case(choice, shapes(choice)[0])
    before = logits.clone(), target.clone()
    gradient(loss, logits, target)
    assert torch.equal(logits, before[0])
    assert torch.equal(target, before[1])
    assert len(loss.state_dict()) == len(deferred_losses(loss)), "nothing but what follows from the training targets"


# ------------------------------------------------------------------------------------------------------ what is missing


@EACH
def test_trap_nan_logits_where_there_is_no_target(choice: str) -> None:
    loss = load(choice)
    for shape in shapes(choice):
        logits, target = case(choice, shape)
        target = some_missing(choice, target)
        nowhere = gone(choice, logits, target)
        spoiled = logits.masked_fill(nowhere, math.nan)
        assert torch.equal(total(loss, spoiled, target), total(loss, logits, target))
        found = gradient(loss, spoiled, target)
        assert torch.equal(found, gradient(loss, logits, target))
        assert (found[nowhere] == 0).all()


@EACH
def test_nan_logits_where_there_is_a_target_stay_visible(choice: str) -> None:
    for shape in shapes(choice):
        logits, target = case(choice, shape)
        logits.view(-1)[0] = math.nan
        assert total(load(choice), logits, target).isnan()


@EACH
def test_trap_missing_rows_dilute_nothing(choice: str) -> None:
    loss = load(choice)
    for shape in shapes(choice):
        logits, target = case(choice, shape)
        known = 9 if kind_of(choice) == "embedding" else 1
        partly = without(choice, target, slice(known, None))
        close(total(loss, logits, partly), total(loss, logits[:known], target[:known]))
        close(gradient(loss, logits, partly)[:known], gradient(loss, logits[:known], target[:known]))


@EACH
def test_missing_pixels_are_as_if_cut_away_or_refused(choice: str) -> None:
    loss = load(choice)
    for shape in [shape for shape in shapes(choice) if len(shape) > 2]:
        logits, target = case(choice, shape)
        where = torch.zeros_like(target, dtype=torch.bool)
        where[..., -1] = True
        partly = without(choice, target, where)
        if loss.needs_maps:
            with pytest.raises(DataError, match=r"masks have missing pixels \(255\).* cannot leave out; ") as refusal:
                loss(logits, partly)
            assert "\n" not in str(refusal.value)
        else:
            close(total(loss, logits, partly), total(loss, logits[..., :-1], target[..., :-1]))


@EACH
def test_no_target_at_all_gives_a_zero_on_the_graph(choice: str) -> None:
    for shape in shapes(choice):
        for rows in (shape[0], 0):
            logits, target = case(choice, shape)
            logits, target = logits[:rows].fill_(math.nan), without(choice, target, slice(None))[:rows]
            assert total(load(choice), logits, target) == 0
            assert torch.equal(gradient(load(choice), logits, target), torch.zeros_like(logits))


# ----------------------------------------------------------------------------------------------------------- invariance


@EACH
@pytest.mark.parametrize("seed", range(3))
def test_order_of_rows_and_pixels_does_not_matter(choice: str, seed: int) -> None:
    loss = load(choice)
    for shape in shapes(choice):
        logits, target = case(choice, shape, seed)
        target = some_missing(choice, target)
        expected = total(loss, logits, target)
        rows = torch.randperm(shape[0], generator=torch.Generator().manual_seed(seed))
        close(total(loss, logits[rows], target[rows]), expected)
        if len(shape) > 2 and not loss.needs_maps:
            pixels = torch.randperm(shape[-1], generator=torch.Generator().manual_seed(seed))
            close(total(loss, logits[..., pixels], target[..., pixels]), expected)


@of("binary", "multiclass", "regression")
@pytest.mark.parametrize("seed", range(3))
def test_a_repeated_batch_costs_the_same(choice: str, seed: int) -> None:
    for shape in shapes(choice):
        logits, target = case(choice, shape, seed)
        close(total(load(choice), logits.repeat(3, *[1] * (logits.ndim - 1)), torch.cat([target] * 3)),
              total(load(choice), logits, target))  # fmt: skip


# -------------------------------------------------------------------------------------------------------- what it means


@of("binary")
def test_trap_empty_target_without_gradient(choice: str) -> None:
    for shape in shapes(choice):
        logits = case(choice, shape)[0].sigmoid() * 2 - 0.5
        pushed = gradient(load(choice), logits, torch.zeros(shape))
        assert (pushed > 0).all()  # a step against it lowers every logit


@of("multiclass")
def test_trap_absent_classes_without_gradient(choice: str) -> None:
    for shape in shapes(choice):
        logits, target = case(choice, shape)
        pushed = gradient(load(choice), logits / 10, torch.zeros_like(target))
        assert (pushed[:, 0] < 0).all()
        assert (pushed[:, 1:].sum(1) > 0).all()


@of("binary", "multiclass")
def test_trap_double_sigmoid(choice: str) -> None:
    """A perfect prediction costs nothing, as it would not if the loss met probabilities or took a sigmoid of them."""
    if "label_smoothing" in choice:
        return  # it wants no perfection
    for shape in shapes(choice):
        _, target = case(choice, shape)
        yes = target if kind_of(choice) == "binary" else torch.nn.functional.one_hot(target, shape[1]).movedim(-1, 1)
        assert total(load(choice), 60.0 * yes - 30, target) < 1e-6


# ------------------------------------------------------------------------------------------------------------ bad input


@EACH
def test_trap_silent_broadcasting(choice: str) -> None:
    for shape in shapes(choice):
        logits, target = case(choice, shape)
        for wrong in (target[:1], target.unsqueeze(-1), target[None], target.flatten()[1:]):
            with pytest.raises(DataError, match=r"shape|need a target|need labels") as refusal:
                load(choice)(logits, wrong)
            assert "\n" not in str(refusal.value)


@EACH
def test_logits_must_be_scores(choice: str) -> None:
    logits, target = case(choice, shapes(choice)[-1])
    with pytest.raises(DataError, match=r"torch\.int64"):
        load(choice)(logits.long(), target)


@EACH
def test_other_values_of_target_are_refused(choice: str) -> None:
    logits, target = case(choice, shapes(choice)[-1])
    wrong: dict[str, list[float]] = {
        "binary": [2, -1, 254, -100],
        "multiclass": [3, -1, 254],
        "regression": [math.inf],
        "embedding": [-1, -5],
    }
    for value in wrong[kind_of(choice)]:
        target.view(-1)[-1] = value
        with pytest.raises(DataError, match=f"{kind_of(choice)} loss: the target holds {value:g}; ") as refusal:
            load(choice)(logits, target)
        assert "\n" not in str(refusal.value)


def test_every_kind_has_losses() -> None:
    assert {kind_of(choice) for choice in FILES} == set(KINDS)
    assert all(choice.split()[0] in FILES for choice in VARIANTS)

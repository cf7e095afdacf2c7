"""What every balance at the level of gradients has in common: which parameters get what, and when."""

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn

from tandem.balance import (
    IMTLG,
    MGDA,
    AlignedMTL,
    Balance,
    CAGrad,
    FixedWeights,
    GradNorm,
    NashMTL,
    PCGrad,
    UPGrad,
)
from tandem.balance.gradient_level import GradientBalance
from tandem.errors import ConfigError
from tandem.network import make_network

TASKS = ("a", "b", "c")
METHODS: list[type[GradientBalance]] = [PCGrad, UPGrad, AlignedMTL, MGDA, IMTLG, NashMTL, CAGrad, GradNorm]
STATELESS = METHODS[:-1]
methods = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)
stateless = pytest.mark.parametrize("method", STATELESS, ids=lambda method: method.__name__)


class Three(nn.Module):
    """An encoder for three tasks, a decoder for two of them, three heads."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(4, 5)
        self.decoder = nn.Linear(5, 3)
        self.heads = nn.ModuleDict({"a": nn.Linear(5, 1), "b": nn.Linear(3, 1), "c": nn.Linear(3, 1)})

    def losses(self, seed: int = 0, rows: slice = slice(None), tasks: tuple[str, ...] = TASKS) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(8, 4, generator=generator, dtype=torch.float64)[rows]
        targets = dict(zip(TASKS, 3 * torch.randn(3, 8, 1, generator=generator, dtype=torch.float64), strict=True))
        deep = torch.tanh(self.encoder(x))
        inputs = {"a": deep, "b": torch.tanh(self.decoder(deep)), "c": torch.tanh(self.decoder(deep))}
        return {name: ((self.heads[name](inputs[name]) - targets[name][rows]) ** 2).mean() for name in tasks}


@pytest.fixture
def net() -> Three:
    torch.manual_seed(1)
    return Three().double()


def balance_of(method: type[Balance], weights: Mapping[str, float] | None = None) -> Balance:
    return method(weights or dict.fromkeys(TASKS, 1.0), TASKS)


def grads(module: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def stepped(balance: Balance, net: Three, losses: Mapping[str, Tensor], scale: float = 1.0, **how: bool) -> None:
    torch.manual_seed(3)
    balance.backward(scale * balance(losses), losses, list(net.parameters()), **how)


def own(net: Three, task: str) -> dict[str, Tensor]:
    net.zero_grad()
    net.losses()[task].backward()  # type: ignore[no-untyped-call]
    found = grads(net)
    net.zero_grad()
    return found


@methods
def test_the_scalar_says_what_the_losses_weigh(method: type[GradientBalance], net: Three) -> None:
    """Callbacks differentiate it by the losses."""
    losses = net.losses()
    weights = torch.autograd.grad(balance_of(method, {"a": 2.0, "b": 0.5, "c": 1.0})(losses), list(losses.values()))
    assert [weight.item() for weight in weights] == [2.0, 0.5, 1.0]


@methods
def test_who_gets_what(method: type[GradientBalance], net: Three) -> None:
    weights = {"a": 2.0, "b": 0.5, "c": 1.0}
    alone = {task: own(net, task) for task in TASKS}
    balance = balance_of(method, weights)
    stepped(balance, net, net.losses())
    found = grads(net)
    assert set(balance.effective) == set(TASKS)
    for name, gradient in found.items():
        if name.startswith("heads"):
            task = name.split(".")[1]
            expected = weights[task] * alone[task][name]
        else:
            reached = [task for task in TASKS if name in alone[task]]
            assert reached == (["b", "c"] if name.startswith("decoder") else list(TASKS))
            expected = torch.stack([balance.effective[task] * alone[task][name] for task in reached]).sum(0)
        torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-12)


def test_the_encoder_of_a_unet_gets_the_sum_of_separate_passes() -> None:
    """The pitfall of peers: with skips, a kept graph gave encoder gradients that were wrong by a factor of 2.8."""
    torch.manual_seed(0)
    decoder = {"decoder_channels": [8, 8, 4, 4, 4]}
    network = make_network(1, True, "small_cnn", "unet", decoder, {"widths": (4, 4, 4, 4, 8)}).double()
    image = torch.rand(3, 1, 32, 32, dtype=torch.float64)

    def losses() -> dict[str, Tensor]:
        features = network(image)
        assert features.dense is not None
        return {"a": (features.dense**2).mean(), "b": (features.deep - 1).abs().mean()}

    alone = []
    for name in ("a", "b"):
        network.zero_grad()
        losses()[name].backward()  # type: ignore[no-untyped-call]
        alone.append(grads(network))
    network.zero_grad()
    balance = CAGrad({"a": 1.0, "b": 1.0}, ("a", "b"), c=0.0)
    balance.backward(balance(found := losses()), found, list(network.parameters()))
    for name, gradient in grads(network).items():
        expected = torch.stack([row[name] for row in alone if name in row]).sum(0)
        torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-14)


@methods
def test_one_task_alone_takes_its_plain_gradient(method: type[GradientBalance], net: Three) -> None:
    expected = own(net, "b")
    balance = balance_of(method, {"a": 1.0, "b": 2.0, "c": 1.0})
    stepped(balance, net, net.losses(tasks=("b",)))
    assert balance.effective == {"b": 2.0}
    found = grads(net)
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, 2 * expected[name])


@methods
def test_a_task_without_weight_is_left_out(method: type[GradientBalance], net: Three) -> None:
    balance = balance_of(method, {"a": 0.0, "b": 1.0, "c": 1.0})
    stepped(balance, net, net.losses())
    found = grads(net)
    assert not any(name.startswith("heads.a") for name in found)
    net.zero_grad()
    stepped(balance_of(method), net, net.losses(tasks=("b", "c")))
    for name, gradient in grads(net).items():
        torch.testing.assert_close(found[name], gradient)


@methods
def test_a_step_of_tasks_without_weight_changes_nothing(method: type[GradientBalance], net: Three) -> None:
    balance = balance_of(method, {"a": 0.0, "b": 1.0, "c": 1.0})
    losses = net.losses(tasks=("a",))
    loss = balance(losses)
    balance.backward(loss, losses, list(net.parameters()))
    assert loss.item() == 0.0
    assert not any(gradient.any() for gradient in grads(net).values())


@methods
def test_a_task_whose_gradient_is_0_takes_no_part(method: type[GradientBalance], net: Three) -> None:
    losses = net.losses()
    stepped(balance_of(method), net, {**losses, "a": 0 * losses["a"]})
    found = grads(net)
    net.zero_grad()
    stepped(balance_of(method), net, net.losses(tasks=("b", "c")))
    for name, gradient in grads(net).items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-9, atol=1e-12)


@methods
def test_a_gradient_that_is_not_finite_shows(method: type[GradientBalance], net: Three) -> None:
    losses = net.losses()
    stepped(balance_of(method), net, {**losses, "b": losses["b"] * torch.inf})
    assert not grads(net)["encoder.weight"].isfinite().any()


@methods
def test_half_precision_scales_through(method: type[GradientBalance], net: Three) -> None:
    stepped(balance_of(method), net, net.losses())
    once = grads(net)
    net.zero_grad()
    stepped(balance_of(method), net, net.losses(), scale=2.0**14)
    for name, gradient in grads(net).items():
        torch.testing.assert_close(gradient / 2.0**14, once[name], rtol=1e-10, atol=1e-12)


@stateless
def test_accumulated_batches_are_one_large_one(method: type[GradientBalance], net: Three) -> None:
    stepped(balance_of(method), net, net.losses())
    large = grads(net)
    net.zero_grad()
    balance = balance_of(method)
    for _ in range(2):  # a second step of the optimiser begins anew
        net.zero_grad()
        for rows in (slice(0, 4), slice(4, 8)):
            stepped(balance, net, net.losses(rows=rows), scale=0.5, accumulate=True)
        for name, gradient in grads(net).items():
            torch.testing.assert_close(gradient, large[name], rtol=1e-9, atol=1e-12)


@methods
def test_a_target_may_be_missing_in_some_of_the_accumulated_batches(method: type[GradientBalance], net: Three) -> None:
    halves = {"a": slice(0, 4), "b": slice(0, 8), "c": slice(4, 8)}
    losses = {name: net.losses(rows=rows)[name] * (0.5 if name != "b" else 1.0) for name, rows in halves.items()}
    once = balance_of(FixedWeights)
    stepped(once, net, losses)
    expected = grads(net)
    net.zero_grad()
    balance = balance_of(method)
    stepped(balance, net, net.losses(rows=slice(0, 4), tasks=("a", "b")), scale=0.5, accumulate=True)
    stepped(balance, net, net.losses(rows=slice(4, 8), tasks=("b", "c")), scale=0.5, accumulate=True)
    found = grads(net)
    assert set(balance.effective) == set(TASKS)
    assert found.keys() == expected.keys()
    if method is not GradNorm:
        for name in ("heads.a.weight", "heads.b.weight", "heads.c.weight"):
            torch.testing.assert_close(found[name], expected[name])


@pytest.mark.parametrize("accumulate", [False, True])
def test_what_is_in_grad_already_stays(accumulate: bool, net: Three) -> None:
    stepped(balance_of(UPGrad), net, net.losses())
    step = grads(net)
    net.zero_grad()
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    balance = balance_of(UPGrad)
    stepped(balance, net, net.losses(), accumulate=accumulate)
    for name, gradient in grads(net).items():
        torch.testing.assert_close(gradient, step[name] + 1)
    if accumulate:
        stepped(balance, net, net.losses(), accumulate=True)
        for name, gradient in grads(net).items():
            torch.testing.assert_close(gradient, 2 * step[name] + 1)


def test_nothing_is_kept_where_nothing_is_accumulated(net: Three) -> None:
    balance = UPGrad(dict.fromkeys(TASKS, 1.0), TASKS)
    stepped(balance, net, net.losses())
    assert not balance.sums
    assert not balance.rest


def test_tasks_that_share_nothing_keep_their_gradients() -> None:
    a, b = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    balance = MGDA({"a": 1.0, "b": 3.0}, ("a", "b"))
    losses = {"a": a.sum(), "b": b.sum()}
    balance.backward(balance(losses), losses, [a, b])
    assert [p.grad.tolist() for p in (a, b) if p.grad is not None] == [[1.0, 1.0], [3.0, 3.0]]


def test_gradients_lie_in_memory_as_their_parameters_do() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 4, 3).to(memory_format=torch.channels_last)
    image = torch.rand(2, 4, 8, 8).contiguous(memory_format=torch.channels_last)
    answer = conv(image)
    losses = {"a": answer.mean(), "b": answer.abs().mean()}
    balance = PCGrad({"a": 1.0, "b": 1.0}, ("a", "b"))
    balance.backward(balance(losses), losses, list(conv.parameters()))
    assert conv.weight.grad is not None
    assert conv.weight.grad.stride() == conv.weight.stride()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda w, t: CAGrad(w, t, c=1.0), r"c is 1\.0, but must lie in \[0, 1\)"),
        (lambda w, t: CAGrad(w, t, c=-0.1), r"c is -0\.1"),
        (lambda w, t: GradNorm(w, t, alpha=-1.0), r"alpha is -1\.0, but must be a number of at least 0"),
        (lambda w, t: GradNorm(w, t, lr=float("nan")), "lr is nan"),
    ],
)
def test_options_out_of_range(make: Callable[[Mapping[str, float], tuple[str, ...]], Balance], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(dict.fromkeys(TASKS, 1.0), TASKS)


def test_gradnorm_by_hand(net: Three) -> None:
    """One step of Chen et al., equations 1 and 2, with two tasks."""
    balance = GradNorm({"a": 1.0, "b": 1.0}, ("a", "b"), alpha=1.5, lr=0.1)
    start = net.losses(tasks=("a", "b"))
    lengths = [torch.cat([own(net, t)[f"encoder.{p}"].flatten() for p in ("weight", "bias")]).norm() for t in "ab"]
    stepped(balance, net, start)
    mean = (lengths[0] + lengths[1]) / 2
    moved = torch.stack([1 - 0.1 * length / mean * torch.sign(length - mean) for length in lengths])
    expected = (2 * moved / moved.sum()).float()
    torch.testing.assert_close(balance.multipliers, expected)

    rates = torch.tensor([0.5, 2.0])  # the first task has come far, the second is worse than at the start
    balance.first.copy_(torch.stack([start["a"] / rates[0], start["b"] / rates[1]]).detach())
    weighted = expected.double() * torch.stack(lengths)
    targets = weighted.mean() * (rates / rates.mean()) ** 1.5
    net.zero_grad()
    stepped(balance, net, net.losses(tasks=("a", "b")))
    steps = 0.1 * torch.stack(lengths) / weighted.mean() * torch.sign(weighted - targets)
    again = expected - steps
    torch.testing.assert_close(balance.multipliers, (2 * again / again.sum()).float())


def test_gradnorm_brings_lengths_together(net: Three) -> None:
    balance = GradNorm(dict.fromkeys(TASKS, 1.0), TASKS, alpha=0.0, lr=0.02)
    alone = [{name: g for name, g in own(net, task).items() if not name.startswith("heads")} for task in TASKS]
    lengths = torch.stack([torch.cat([gradient.flatten() for gradient in row.values()]).norm() for row in alone])
    for _ in range(100):
        net.zero_grad()
        stepped(balance, net, net.losses())
    found = balance.multipliers.double() * lengths
    assert (found / found.mean()).tolist() == pytest.approx([1.0, 1.0, 1.0], abs=0.1)
    assert balance.multipliers.sum().item() == pytest.approx(3.0, abs=1e-4)


def test_an_absent_task_s_learned_weight_stays(net: Three) -> None:
    balance = GradNorm(dict.fromkeys(TASKS, 1.0), TASKS, lr=0.05)
    for step in range(5):
        net.zero_grad()
        stepped(balance, net, net.losses(step, tasks=("a", "b")))
    assert balance.multipliers[2].item() == 1.0
    assert balance.first[2].isnan()
    assert balance.multipliers[0].item() != 1.0

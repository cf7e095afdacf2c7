"""Groups of parameters: what weight decay skips, learning rates of parts, and names that mean nothing."""

from functools import partial
from typing import Any

import pytest
import timm.optim
import torch
from torch import nn

from tandem.errors import ConfigError
from tandem.network import make_network
from tandem.optim.param_groups import grouped_optimizer, means, parameter_groups, select

UNET = {"decoder_channels": [16, 16, 8, 8, 8]}


class Whole(nn.Module):
    """Named like the Lightning module: a network, a head and what a balance learns."""

    def __init__(self) -> None:
        super().__init__()
        self.network = make_network(1, True, "test_resnet", "unet", UNET)
        self.task_modules = nn.ModuleDict({"lesion": nn.ModuleDict({"head": nn.Conv2d(8, 1, 3)})})
        self.balance = nn.ParameterDict({"scale": nn.Parameter(torch.ones(2, 2))})


@pytest.fixture(scope="module")
def whole() -> Whole:
    return Whole()


def names(module: nn.Module, groups: list[dict[str, Any]]) -> list[set[str]]:
    known = {id(parameter): name for name, parameter in module.named_parameters()}
    return [{known[id(parameter)] for parameter in group["params"]} for group in groups]


def test_decay_skips_what_timm_skips(whole: Whole) -> None:
    decayed, skipped = parameter_groups(whole.network.named_parameters())
    expected = timm.optim.param_groups_weight_decay(whole.network, weight_decay=0.1)
    found = {group.get("weight_decay", 0.1): group["params"] for group in (decayed, skipped)}
    assert len(expected) == 2
    for group in expected:
        assert {id(p) for p in group["params"]} == {id(p) for p in found[group["weight_decay"]]}


def test_every_parameter_is_in_one_group_and_those_of_the_balance_are_not_decayed(whole: Whole) -> None:
    groups = parameter_groups(whole.named_parameters())
    decayed, skipped = names(whole, groups)
    assert decayed | skipped == {name for name, _ in whole.named_parameters()}
    assert not decayed & skipped
    assert "weight_decay" not in groups[0]
    assert groups[1]["weight_decay"] == 0
    assert "balance.scale" in skipped
    assert all(parameter.ndim > 1 for parameter in groups[0]["params"])
    assert {"task_modules.lesion.head.bias"} < skipped
    assert "task_modules.lesion.head.weight" in decayed


def test_decay_of_everything_is_one_group(whole: Whole) -> None:
    (group,) = parameter_groups(whole.named_parameters(), decay_all=True)
    assert "weight_decay" not in group
    assert len(group["params"]) == len(list(whole.parameters()))


def test_frozen_parameters_are_left_out() -> None:
    whole = Whole()
    whole.network.encoder.requires_grad_(False)
    found = set.union(*names(whole, parameter_groups(whole.named_parameters())))
    assert found == {name for name, _ in whole.named_parameters() if not name.startswith("network.encoder.")}
    whole.requires_grad_(False)
    with pytest.raises(ConfigError, match="every parameter is frozen"):
        parameter_groups(whole.named_parameters())


def test_one_step_of_decay_alone_equals_the_formula() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    make = partial(torch.optim.AdamW, lr=0.1, weight_decay=0.5)
    optimizer = grouped_optimizer(model.named_parameters(), make)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        factor = 1 - 0.1 * 0.5 if name == "0.weight" else 1.0
        torch.testing.assert_close(parameter, factor * before[name])


# ------------------------------------------------------------------------------------------------ learning rate factors


def rates(whole: Whole, factors: dict[str, float]) -> dict[str, float]:
    optimizer = grouped_optimizer(whole.named_parameters(), partial(torch.optim.AdamW, lr=0.01), factors)
    assert all("lr_factor" not in group for group in optimizer.param_groups)
    known = {id(parameter): name for name, parameter in whole.named_parameters()}
    return {known[id(p)]: group["lr"] for group in optimizer.param_groups for p in group["params"]}


def test_a_part_has_a_learning_rate_of_its_own_and_the_longest_name_counts(whole: Whole) -> None:
    found = rates(whole, {"network": 0.5, "network.encoder": 0.1, "tasks.lesion": 3.0})
    assert found.keys() == {name for name, _ in whole.named_parameters()}
    for name, rate in found.items():
        first = name.split(".")
        expected = {"balance": 0.01, "task_modules": 0.03, "network": 0.001 if first[1] == "encoder" else 0.005}
        assert rate == pytest.approx(expected[first[0]])


def test_the_first_group_has_the_optimiser_s_own_rate(whole: Whole) -> None:
    factors = {"network.encoder": 0.1}
    optimizer = grouped_optimizer(whole.named_parameters(), partial(torch.optim.SGD, lr=0.01), factors)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.01, 0.01, 0.001, 0.001])


def test_schedules_keep_the_factors(whole: Whole) -> None:
    make = partial(torch.optim.SGD, lr=0.01)
    optimizer = grouped_optimizer(whole.named_parameters(), make, {"network.encoder": 0.1}, decay_all=True)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    for _ in range(5):
        optimizer.step()
        scheduler.step()
    assert scheduler.get_last_lr() == pytest.approx([0.005, 0.0005])


def test_state_of_an_optimiser_with_groups_is_plain(whole: Whole, tmp_path: Any) -> None:
    make = partial(torch.optim.AdamW, lr=0.01)
    optimizer = grouped_optimizer(whole.named_parameters(), make, {"network.encoder": 0.1})
    torch.save(optimizer.state_dict(), tmp_path / "state.pt")
    other = grouped_optimizer(whole.named_parameters(), make, {"network.encoder": 0.1})
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert [group["lr"] for group in other.param_groups] == [group["lr"] for group in optimizer.param_groups]


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ({"network.encodr": 0.1}, r"parameters\.lr_factors: no parameter is called 'network\.encodr': did you mean 'n"),
        ({"task_modules": 0.1}, "no parameter is called 'task_modules'"),
        ({"network": 0}, r"parameters\.lr_factors\.network is 0, but must be a number above 0"),
        ({"network": -1.0}, "must be a number above 0"),
        ({"network": "fast"}, "is 'fast', but must be a number above 0"),
        ({"network": True}, "is True, but must be a number above 0"),
        ({"network": float("nan")}, "must be a number above 0"),
    ],
)
def test_factors_that_mean_nothing_are_refused(whole: Whole, factors: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parameter_groups(whole.named_parameters(), factors)


# ---------------------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("network.decoder", "network.decoder.a.weight", True),
        ("network.decoder", "network.decoders.weight", False),
        ("network.decoder.a.weight", "network.decoder.a.weight", True),
        ("network.*.weight", "network.decoder.a.weight", True),
        ("network.*.weight", "network.decoder.a.bias", False),
        ("*.bias", "tasks.lesion.head.bias", True),
        ("*", "anything", True),
        ("decoder", "network.decoder.a", False),
        ("NETWORK", "network.a", False),
    ],
)
def test_what_a_pattern_means(pattern: str, name: str, expected: bool) -> None:
    assert means(pattern, name) is expected


def test_parameters_are_named_as_settings_name_them(whole: Whole) -> None:
    found = select(["tasks.lesion", "balance"], whole.named_parameters(), "key")
    assert list(found) == ["tasks.lesion.head.weight", "tasks.lesion.head.bias", "balance.scale"]
    with pytest.raises(ConfigError, match=r"^key: no parameter is called 'tasks\.leison': did you mean 'tasks"):
        select(["tasks.leison"], whole.named_parameters(), "key")

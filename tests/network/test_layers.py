"""Learning rates that fall layer by layer equal timm's, and reach the optimiser."""

from typing import Any

import pytest
import torch
from timm.optim import param_groups_layer_decay
from torch import nn

from tandem.errors import ConfigError
from tandem.network import make_network
from tandem.network.layers import layer_factors
from tandem.optim.param_groups import grouped_optimizer


@pytest.mark.parametrize("backbone", ["test_vit", "test_resnet"])
def test_factors_are_those_of_timm(backbone: str) -> None:
    network = make_network(1, False, backbone, "unet", size=64)
    model: Any = network.encoder.model
    scales = {
        id(parameter): group["lr_scale"]
        for group in param_groups_layer_decay(model, layer_decay=0.75)
        for parameter in group["params"]
    }
    found = layer_factors(network, 0.75)
    assert len(found) == len(scales) > 10
    for name, parameter in model.named_parameters():
        assert found[f"network.encoder.model.{name}"] == pytest.approx(scales[id(parameter)])


def test_the_optimiser_has_them() -> None:
    module = nn.Module()
    module.network = make_network(1, True, "test_vit", "unet", {"decoder_channels": [8] * 5}, size=64)
    layers = layer_factors(module.network, 0.5)
    optimizer = grouped_optimizer(
        module.named_parameters(),
        lambda groups: torch.optim.SGD(groups, lr=1.0),
        {"network.encoder": 0.1},
        layers=layers,
    )
    rates = {id(one): group["lr"] for group in optimizer.param_groups for one in group["params"]}
    named = dict(module.named_parameters())
    assert rates[id(named["network.encoder.model.norm.weight"])] == pytest.approx(0.1)
    assert rates[id(named["network.encoder.model.blocks.4.attn.qkv.weight"])] == pytest.approx(0.05)
    assert rates[id(named["network.encoder.model.patch_embed.proj.weight"])] == pytest.approx(0.1 * 0.5**6)
    assert {rates[id(one)] for name, one in named.items() if ".decoder." in name} == {1.0}


def test_neutral_and_wrong_values() -> None:
    network = make_network(1, False, "test_vit", "unet", size=64)
    assert layer_factors(network, None) == {}
    for wrong in (0, 1.5, "x", True, float("nan")):
        with pytest.raises(ConfigError, match=r"parameters\.layer_decay is .* must be null or a number in \(0, 1\]"):
            layer_factors(network, wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="needs a timm backbone"):
        layer_factors(nn.Linear(1, 1), 0.5)

"""Adapters in a frozen backbone: compared with float64 and with peft's own sums; what is frozen; what is refused."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tandem.errors import ConfigError
from tandem.network import Network, make_network
from tandem.network.layers import layer_factors
from tandem.network.lora import adapted, add_lora, merge_lora, read_lora, without_lora
from tandem.optim.param_groups import parameter_groups

pytest.importorskip("peft")

VIT: dict[str, Any] = {"backbone": "test_vit", "decoder": "fpn", "pyramid_channels": 32, "size": 32}
RESNET: dict[str, Any] = {"backbone": "test_resnet", "decoder": "fpn", "size": 32}
RESNET |= {"backbone_options": {"zero_init_last": False}}  # else a frozen norm of 0 keeps each branch at 0


def network(options: dict[str, Any], lora: dict[str, Any] | None = None, seed: int = 0, **more: Any) -> Network:
    torch.manual_seed(seed)
    return make_network(1, True, **options, **more, lora=lora)


def moved(module: nn.Module) -> None:
    """Gives the adapters values other than those that they start with."""
    generator = torch.Generator().manual_seed(1)
    for _, layer in adapted(module):
        for part in (layer.lora_A.default, layer.lora_B.default):
            part.weight.data = 0.3 * torch.randn(part.weight.shape, generator=generator, dtype=part.weight.dtype)


def image(rows: int = 2, side: int = 32) -> Tensor:
    return torch.rand(rows, 1, side, side, generator=torch.Generator().manual_seed(2))


class Layers(nn.Module):
    """An encoder of one linear layer and one convolution, to compare with a computation by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.out_channels = [2]
        self.conv = nn.Conv2d(2, 4, 3, stride=2, padding=1)
        self.line = nn.Linear(4, 5)

    def forward(self, image: Tensor) -> Tensor:
        return torch.as_tensor(self.line(self.conv(image).movedim(1, -1)))


@pytest.mark.parametrize(("rank", "alpha"), [(1, 1.0), (3, 16.0), (2, 0.5)])
def test_a_layer_adds_alpha_over_r_times_b_a_x(rank: int, alpha: float) -> None:
    torch.manual_seed(0)
    layers = Layers().double()
    w, b = layers.line.weight.detach().clone(), layers.line.bias.detach().clone()
    asked = read_lora({"rank": rank, "alpha": alpha, "targets": ["line"]})
    assert asked is not None
    layers.float()
    add_lora(layers, asked, "layers", (4, 4))
    layers.double()
    moved(layers)
    line: Any = layers.line
    down, up = (part.default.weight.detach() for part in (line.lora_A, line.lora_B))
    x = torch.randn(7, 4, dtype=torch.float64)
    expected = torch.empty(7, 5, dtype=torch.float64)
    for row in range(7):
        inner = [sum(down[k, i] * x[row, i] for i in range(4)) for k in range(rank)]
        for out in range(5):
            plain = sum(w.float().double()[out, i] * x[row, i] for i in range(4)) + b.float().double()[out]
            expected[row, out] = plain + alpha / rank * sum(up[out, k] * inner[k] for k in range(rank))
    torch.testing.assert_close(line(x), expected, rtol=1e-12, atol=1e-12)


def test_merged_layers_equal_adapted_ones_and_the_sums_of_peft() -> None:
    layers = Layers()
    asked = read_lora({"rank": 2, "alpha": 3.0, "targets": ["conv", "line"]})
    assert asked is not None
    add_lora(layers, asked, "layers", (4, 4))
    layers.double()
    moved(layers)
    x = torch.randn(3, 2, 6, 6, dtype=torch.float64)
    before = layers(x)
    sums = {name: layer.base_layer.weight + layer.get_delta_weight("default") for name, layer in adapted(layers)}
    state = without_lora(layers.state_dict())
    merge_lora(layers)
    torch.testing.assert_close(layers(x), before, rtol=1e-12, atol=1e-12)
    assert type(layers.conv) is nn.Conv2d
    assert type(layers.line) is nn.Linear
    for name, weight in sums.items():
        torch.testing.assert_close(layers.get_submodule(name).weight, weight, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(state[f"{name}.weight"], layers.get_submodule(name).weight)
    Layers().load_state_dict(state)


@pytest.mark.parametrize(
    ("options", "targets"),
    [(VIT, ["attention"]), (VIT, ["attention", "mlp"]), (VIT, ["attn.qkv"]), (RESNET, ["conv1", "conv2"])],
    ids=["attention", "mlp too", "one", "convolutions"],
)
def test_a_network_starts_as_the_frozen_one_and_trains_adapters_alone(
    options: dict[str, Any], targets: list[str]
) -> None:
    plain = network(options)
    after = torch.rand(3)
    tuned = network(options, {"rank": 2, "targets": targets})
    assert torch.equal(after, torch.rand(3)), "heads would start from other weights"
    assert torch.equal(plain.eval()(image()).deep, tuned.eval()(image()).deep)
    dense = (plain(image()).dense, tuned(image()).dense)
    assert dense[0] is not None
    assert dense[1] is not None
    assert torch.equal(*dense)
    before = {name: value.clone() for name, value in tuned.encoder.state_dict().items()}
    tuned.train()
    trained = [parameter for parameter in tuned.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, 0.1)
    for _ in range(2):
        optimizer.zero_grad()
        found = tuned(image())
        assert found.dense is not None
        (found.deep.square().mean() + found.dense.square().mean()).backward()
        optimizer.step()
    changed = {name for name, value in tuned.encoder.state_dict().items() if not torch.equal(value, before[name])}
    adapters = {name for name in before if ".lora_A." in name or ".lora_B." in name}
    assert changed == adapters, "base weights and batch statistics stay, each adapter is trained"
    assert not [name for name, value in tuned.encoder.named_parameters() if value.requires_grad != (name in adapters)]


def test_frozen_until_an_epoch() -> None:
    tuned = network(VIT, {"rank": 1}, freeze="until_epoch_1")
    for epoch, count in ((0, 0), (1, 4)):
        tuned.begin_epoch(epoch)
        names = {name.split(".")[-3] for name, value in tuned.encoder.named_parameters() if value.requires_grad}
        assert len(names) == count // 2
    assert names == {"lora_A", "lora_B"}


def test_rates_fall_layer_by_layer_for_adapters_too() -> None:
    tuned = network(VIT, {"rank": 1})
    factors = layer_factors(tuned, 0.5)
    last = max(int(name.split(".")[4]) for name in factors if ".blocks." in name)
    found = {name: factors[name] for name in factors if ".lora_A." in name}
    assert found
    assert all(value == 0.5 ** (last - int(name.split(".")[4])) for name, value in found.items())
    named = [(f"network.{name}", value) for name, value in tuned.named_parameters()]
    assert sum(len(group["params"]) for group in parameter_groups(named, layers=factors)) == sum(
        value.requires_grad for _, value in named
    )


def test_another_network_starts_from_the_merged_weights(tmp_path: Path) -> None:
    for options in (VIT, RESNET):
        tuned = network(options, {"rank": 2, "alpha": 5.0, "targets": ["attention"] if options is VIT else ["conv1"]})
        moved(tuned)
        file = tmp_path / "best.ckpt"
        torch.save({"state_dict": {f"network.{name}": value for name, value in tuned.state_dict().items()}}, file)
        plain = network(options, weights=str(file), seed=3)
        torch.testing.assert_close(plain.eval()(image()).deep, tuned.eval()(image()).deep, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("lora", "message"),
    [
        ({"rank": -1}, r"^network\.lora\.rank is -1, but must be a whole number from 0"),
        ({"rank": 1.5}, r"^network\.lora\.rank is 1\.5"),
        ({"rank": True}, r"^network\.lora\.rank is True"),
        ({"rank": 1, "alpha": 0}, r"^network\.lora\.alpha is 0, but must be a number above 0"),
        ({"rank": 1, "dropout": 1}, r"^network\.lora\.dropout is 1, but must lie in"),
        ({"rank": 1, "targets": []}, r"^network\.lora\.targets is \[\], but must name layers"),
        ({"rank": 1, "targets": [3]}, r"^network\.lora\.targets is \[3\], but must name layers"),
        (
            {"rank": 1, "targets": "atention"},
            r"test_vit' has no layer 'atention'; name some of its layers, such as .*qkv",
        ),
        ({"rnak": 1}, r"^unknown key 'network\.lora\.rnak': .*rank"),
    ],
)
def test_bad_values(lora: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        network(VIT, lora)


@pytest.mark.parametrize(
    ("backbone", "targets", "message"),
    [
        ("test_resnet", ["attention"], r"test_resnet' has no layer 'attention'; name some of its layers, .*conv1"),
        ("mobilenetv2_050", ["conv_dw"], r"is a convolution with groups=\d+, which can have no adapter"),
        ("test_efficientnet", ["conv_stem"], None),
        ("beit_base_patch16_224", ["attn.qkv"], r"uses the weights of 'model\.blocks\.0\.attn\.qkv' without calling"),
        ("test_nfnet", ["conv1"], r"is a Scaled\w*Conv2d\w*, which can have no adapter"),
    ],
)
def test_layers_without_adapters(backbone: str, targets: list[str], message: str | None) -> None:
    options = {"backbone": backbone, "decoder": "fpn", "size": 64, "depth": 5}
    if backbone.startswith("beit"):
        options |= {"backbone_options": {"embed_dim": 24, "depth": 2, "num_heads": 2}, "depth": 4}
    lora = {"rank": 1, "targets": targets}
    if message is None:
        assert len(list(adapted(network(options, lora)))) == 1
        return
    with pytest.raises(ConfigError, match=message):
        network(options, lora)


def test_a_frozen_encoder_trains_no_adapters() -> None:
    with pytest.raises(ConfigError, match=r"^network\.lora\.rank is 2, .* set network\.freeze=none"):
        network(VIT, {"rank": 2}, freeze="encoder")


def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(
        ConfigError, match=r"^network\.lora\.rank above 0 needs peft .*pip install 'tandem-mtl\[lora\]'"
    ):
        network(VIT, {"rank": 2})
    network(VIT, {"rank": 0})

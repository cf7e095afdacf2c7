"""Every backbone and decoder that the documentation names: shapes, gradients, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor

from tandem.errors import ConfigError
from tandem.network import Network, make_network
from tandem.tasks.dense import DenseHead
from tandem.tasks.pooled import PooledHead

CONF = Path(__file__).parents[2] / "conf" / "network"
DECODERS = sorted(path.stem for path in CONF.glob("*.yaml"))
BACKBONES = ["mobilenetv2_050", "resnet18", "convnext_atto", "efficientnet_b0", "small_cnn", "test_resnet"]
CASES = [(1, (28, 28)), (3, (50, 70))]
LARGE = {"pan": (100, 110)}
"""Decoders whose pooling needs a deepest map of at least 8x8."""
UNET = {"decoder_channels": [16, 16, 8, 8, 8]}


def options(decoder: str) -> dict[str, Any]:
    """The keys of a decoder's yaml, over those that every network has."""
    parts = [OmegaConf.load(CONF / "shared" / "timm.yaml"), OmegaConf.load(CONF / f"{decoder}.yaml")]
    merged = OmegaConf.to_container(OmegaConf.merge(*parts))
    assert isinstance(merged, dict)
    return {str(key): value for key, value in merged.items() if key not in ("_target_", "defaults")}


def check(network: Network, channels: int, size: tuple[int, int]) -> None:
    """Shapes of both maps and of both heads' logits; gradients of either head reach the first layer."""
    height, width = size
    features = network(torch.rand(2, channels, height, width))
    padded = (height + -height % network.stride, width + -width % network.stride)
    assert features.size == size
    assert features.padded == padded
    assert features.deep.shape[:2] == (2, network.channels.deep)
    assert features.dense is not None
    assert features.dense.shape[:2] == (2, network.channels.dense)
    assert [padded[0] // features.dense.shape[2], padded[1] // features.dense.shape[3]] in ([1, 1], [4, 4], [8, 8])
    heads = PooledHead(network.channels.deep, 3, "avg", 0.0), DenseHead(network.channels.dense, 1)
    first = next(network.encoder.parameters())
    for head, shape in zip(heads, [(2, 3), (2, 1, height, width)], strict=True):
        logits: Tensor = head(features)
        assert logits.shape == shape
        (gradient,) = torch.autograd.grad(logits.square().sum(), first, retain_graph=True)
        assert gradient.isfinite().all()
        assert gradient.abs().sum() > 0


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize(("channels", "size"), CASES)
def test_backbones(backbone: str, channels: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    check(make_network(channels, True, backbone, "unet", UNET), channels, size)


@pytest.mark.parametrize("decoder", sorted({*DECODERS} - {"dpt"}))
@pytest.mark.parametrize(("channels", "size"), CASES)
def test_decoders_as_configured(decoder: str, channels: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    chosen = {**options(decoder), "backbone": "test_resnet"}
    check(make_network(channels, True, **chosen), channels, LARGE.get(decoder, size))


def test_every_decoder_has_its_file() -> None:
    assert {options(decoder)["decoder"] for decoder in DECODERS} == set(DECODERS)
    assert "unet" in DECODERS


@pytest.mark.parametrize("stride", [8, 16])
def test_a_dilated_backbone_keeps_its_map_large(stride: int) -> None:
    network = make_network(1, False, "resnet18", "unet", output_stride=stride).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 1, 64, 32)).deep.shape[-2:] == (64 // stride, 32 // stride)


def test_fewer_levels_make_a_shallower_backbone() -> None:
    network = make_network(1, False, "resnet18", "unet", depth=3).eval()
    with torch.no_grad():
        features = network(torch.rand(1, 1, 44, 36))
    assert features.padded == (48, 40)
    assert features.deep.shape == (1, 128, 6, 5)


@pytest.mark.parametrize("decoder", ["unet", "fpn"])
def test_without_a_dense_task_no_decoder_is_built(decoder: str) -> None:
    alone = make_network(1, False, "test_resnet", decoder)
    both = make_network(1, True, "test_resnet", decoder)
    assert alone.decoder is None
    assert alone.channels.dense == 0
    assert alone(torch.rand(2, 1, 32, 32)).dense is None
    encoder = sum(parameter.numel() for parameter in both.encoder.parameters())
    assert sum(parameter.numel() for parameter in alone.parameters()) == encoder
    assert sum(parameter.numel() for parameter in both.parameters()) > encoder


def test_one_seed_gives_one_network() -> None:
    def made(seed: int) -> Tensor:
        torch.manual_seed(seed)
        network = make_network(1, True, "small_cnn", "unet", UNET)
        return torch.cat([parameter.flatten() for parameter in network.parameters()])

    assert torch.equal(made(3), made(3))
    assert not torch.equal(made(3), made(4))


Make = Callable[[], Network]
REFUSED: dict[str, tuple[Make, str]] = {
    "backbone": (lambda: make_network(1, True, "mobilnetv2_050", "unet"), "did you mean 'mobilenetv2_050'"),
    "own backbone": (lambda: make_network(1, True, "smal_cnn", "unet"), "did you mean 'small_cnn'"),
    "nothing alike": (lambda: make_network(1, True, "§§§", "unet"), "timm has no backbone '§§§': there are: resnet"),
    "tag": (lambda: make_network(1, True, "resnet18.nonsense", "unet"), "'resnet18.nonsense'.*Invalid pretrained tag"),
    "decoder": (lambda: make_network(1, True, "resnet18", "unett"), "no decoder 'unett': did you mean 'unet'"),
    "decoder of tokens": (lambda: make_network(1, True, "resnet18", "dpt"), "'dpt' reads the tokens of a plain vision"),
    "decoder option": (lambda: make_network(1, True, "test_resnet", "unet", {"widths": [8]}), "'widths'"),
    "decoder channels": (
        lambda: make_network(1, True, "test_resnet", "unet", {"decoder_channels": [8]}),
        "has 1 values",
    ),
    "backbone option": (lambda: make_network(1, False, "test_resnet", "unet", None, {"wide": 8}), "'wide'"),
    "depth": (lambda: make_network(1, False, "resnet18", "unet", depth=7), r"set network\.depth=5"),
    "stride": (lambda: make_network(1, True, "resnet18", "unet", output_stride=8), "needs output_stride=32, not 8"),
    "dilation": (lambda: make_network(1, True, "small_cnn", "deeplabv3plus", output_stride=16), "cannot be dilated"),
    "patches": (lambda: make_network(1, True, "test_vit", "unet", size=50), "patches of 16 px; set data.size=48 or 64"),
    "blocks": (lambda: make_network(1, True, "test_vit", "dpt", depth=9, size=64), "blocks 1 to 6 to read"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_made_is_refused_in_one_line(make: Make, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        make()
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600


# ------------------------------------------------------------------------------------------------------- regularisation


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("backbone", ["test_resnet", "convnext_atto", "mobilenetv2_050"])
def test_stochastic_depth_reaches_the_backbone(backbone: str, dense: bool) -> None:
    from timm.layers import DropPath

    torch.manual_seed(0)
    network = make_network(1, dense, backbone, "unet", UNET, drop_path=0.4)
    rates = [part.drop_prob for part in network.encoder.modules() if isinstance(part, DropPath)]
    assert rates == sorted(rates), "rises with depth"
    assert 0.2 < rates[-1] < 0.4 + 1e-6
    image = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1)  # residual branches of a fresh ResNet are 0
        network.train()
        assert len({network(image).deep.sum().item() for _ in range(8)}) > 1
        network.eval()
        assert torch.equal(network(image).deep, network(image).deep)


def test_no_stochastic_depth_is_the_network_as_it_was() -> None:
    torch.manual_seed(0)
    plain = make_network(1, True, "test_resnet", "unet", UNET)
    torch.manual_seed(0)
    dropped = make_network(1, True, "test_resnet", "unet", UNET, drop_path=0.3, dropout=0.3)
    assert plain.state_dict().keys() == dropped.state_dict().keys()
    image = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        assert torch.equal(plain.eval()(image).deep, dropped.eval()(image).deep)


@pytest.mark.parametrize("backbone", ["small_cnn", "vgg11", "ghostnet_050"])
@pytest.mark.parametrize("dense", [False, True])
def test_a_backbone_without_residual_branches_has_no_depth_to_drop(backbone: str, dense: bool) -> None:
    with pytest.raises(ConfigError, match=f"drop_path is 0.1, but backbone '{backbone}' has no stochastic depth"):
        make_network(1, dense, backbone, "unet", UNET, drop_path=0.1)


@pytest.mark.parametrize("name", ["drop_path", "dropout"])
@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan")])
def test_shares_that_are_none_are_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"^{name} is .*, but must lie in \[0, 1\)"):
        make_network(1, False, "test_resnet", "unet", **{name: value})  # type: ignore[arg-type]

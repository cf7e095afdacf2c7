"""Plain vision transformers with every decoder: levels, gradients, sizes and weights."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from tests.network.test_make import DECODERS, options
from torch import nn

from tandem.errors import ConfigError
from tandem.network import make_network
from tandem.network.backbone import describe, size_options
from tandem.network.decoder import make_decoder
from tandem.network.dry_run import dry_run, used
from tandem.network.pyramid import FeaturePyramid, level_strides

UNET = {"decoder_channels": [16, 16, 8, 8, 8]}


@pytest.mark.parametrize("decoder", DECODERS)
def test_every_decoder_takes_a_plain_transformer(decoder: str) -> None:
    size = 128 if decoder == "pan" else 64
    torch.manual_seed(0)
    chosen = {**options(decoder), "backbone": "test_vit", "pyramid_channels": 16, "size": size}
    network = make_network(1, True, **chosen)
    features = network(torch.rand(2, 1, size, size))
    assert features.deep.shape == (2, 64, size // 16, size // 16)
    assert features.dense is not None
    assert features.dense.shape[:2] == (2, network.channels.dense)
    (features.dense.square().mean() + features.deep.square().mean()).backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize(("size", "padded"), [(64, 64), (96, 96), (112, 128)])
@pytest.mark.parametrize("decoder", ["unet", "dpt"])
def test_sizes_are_padded_to_what_the_decoder_halves(decoder: str, size: int, padded: int) -> None:
    chosen = {**options(decoder), "backbone": "test_vit", "pyramid_channels": 8, "size": size}
    with torch.no_grad():
        features = make_network(3, True, **chosen)(torch.rand(2, 3, size, size))
    assert (features.size, features.padded) == ((size, size), (padded, padded))
    assert features.deep.shape[-1] == padded // 16


@pytest.mark.parametrize(("factor", "stride"), [(8, 2), (4, 4), (2, 8), (1, 16), (0.5, 32)])
def test_levels_have_their_strides(factor: float, stride: int) -> None:
    strides = level_strides(5, 32)
    pyramid = FeaturePyramid(16, 16, (1, *[8] * 5), strides)
    levels = pyramid(torch.zeros(1, 1, 64, 96), torch.rand(1, 16, 4, 6))
    assert levels[strides.index(stride)].shape == (1, 8, int(4 * factor), int(6 * factor))


def test_own_decoders_get_the_pyramid_too() -> None:
    class Last(nn.Module):
        def __init__(self, channels: Any, strides: Any) -> None:
            super().__init__()
            self.out_channels, self.seen = 4, (tuple(channels), tuple(strides))
            self.mix = nn.Conv2d(channels[-1], 4, 1)

        def forward(self, levels: list[torch.Tensor]) -> torch.Tensor:
            found: torch.Tensor = self.mix(levels[-1])
            return found

    network = make_network(1, True, "test_vit", Last, size=64, pyramid_channels=8)
    with torch.no_grad():
        assert network(torch.rand(1, 1, 64, 64)).dense.shape == (1, 4, 2, 2)
    assert make_decoder(Last, (1, 8), (1, 2))[1] == 4


def test_a_swin_transformer_is_made_for_the_size() -> None:
    assert size_options("swin_tiny_patch4_window7_224", (64, 64), 1) == {"img_size": (64, 64)}
    assert size_options("swin_tiny_patch4_window7_224", (64, 64), 1, {"img_size": 64}) == {}
    assert size_options("resnet18", (64, 64), 1) == {}
    assert not describe("swin_tiny_patch4_window7_224").plain


def test_a_dry_run_changes_nothing() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5))
    before, state = {k: v.clone() for k, v in module.state_dict().items()}, torch.get_rng_state()
    assert dry_run(module, torch.zeros(2, 1, 8, 8)).shape == (2, 2, 6, 6)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(ValueError, match="more than 1 value"):
        dry_run(nn.BatchNorm2d(2), torch.zeros(1, 2, 1, 1))


def test_which_levels_are_read() -> None:
    class Second(nn.Module):
        def forward(self, levels: list[torch.Tensor]) -> torch.Tensor:
            return levels[1] * 2

    assert used(Second(), [torch.zeros(1, 1, 4, 4)] * 3) == [False, True, False]


# -------------------------------------------------------------------------------------------------------------- weights


def trained() -> dict[str, torch.Tensor]:
    torch.manual_seed(5)
    state = timm.create_model("test_vit", pretrained=False).state_dict()  # 160 px: 100 tokens and the class token
    return {name: torch.randn_like(value) for name, value in state.items()}


@pytest.mark.parametrize("prefix", ["", "module.", "backbone.", "module.backbone."])
@pytest.mark.parametrize("inside", [None, "model", "teacher", "state_dict"])
def test_weights_arrive_with_any_prefix(
    tmp_path: Path, prefix: str, inside: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    state = trained()
    named: Any = {f"{prefix}{name}": value for name, value in state.items()}
    named[f"{prefix}decoder_embed.weight"] = torch.zeros(3)  # as in MAE's files
    torch.save({inside: named, "epoch": 3} if inside else named, tmp_path / "w.pth")
    caplog.set_level("INFO", "tandem")
    network = make_network(1, True, "test_vit", "unet", UNET, size=64, weights=str(tmp_path / "w.pth"))
    found = network.encoder.model.state_dict()  # type: ignore[union-attr]
    for name, value in found.items():
        if name == "pos_embed":
            assert value.shape == (1, 17, 64)
            old = state[name][:, 1:].reshape(1, 10, 10, 64).permute(0, 3, 1, 2)
            new = nn.functional.interpolate(old, size=(4, 4), mode="bicubic", antialias=True)
            torch.testing.assert_close(value[:, 1:], new.permute(0, 2, 3, 1).reshape(1, 16, 64))
        elif name == "patch_embed.proj.weight":
            torch.testing.assert_close(value, state[name].sum(1, keepdim=True))
        else:
            assert torch.equal(value, state[name]), name
    said = [record.getMessage() for record in caplog.records]
    assert any(f"has {len(found)} of the backbone's {len(found)} tensors; 3 of its" in line for line in said), said
    assert any("positions are interpolated from 101 to 17 tokens" in line for line in said)


def test_safetensors_arrive_and_other_models_do_not(tmp_path: Path) -> None:
    save_file(trained(), tmp_path / "w.safetensors")
    make_network(3, False, "test_vit", "unet", size=64, weights=str(tmp_path / "w.safetensors"))
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "other.pth")
    with pytest.raises(ConfigError, match=r"other\.pth' belongs to another model; it lacks \d+ of the backbone's"):
        make_network(3, False, "test_vit", "unet", size=64, weights=str(tmp_path / "other.pth"))


@pytest.mark.parametrize("content", [b"", b"no weights" * 9])
def test_a_broken_file_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(ConfigError, match=r"w\.pth' cannot be read as tensors by name") as error:
        make_network(1, False, "test_vit", "unet", size=64, weights=str(tmp_path / "w.pth"))
    assert "\n" not in str(error.value)


def test_code_in_a_file_does_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"model": Evil()}, tmp_path / "w.pth")
    with pytest.raises(ConfigError, match="cannot be read as tensors"):
        make_network(1, False, "test_vit", "unet", size=64, weights=str(tmp_path / "w.pth"))
    assert not (tmp_path / "ran").exists()


def test_a_run_of_another_size_is_a_start(tmp_path: Path) -> None:
    one = make_network(1, False, "test_vit", "unet", size=96)
    state = {f"network.{name}": value for name, value in one.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "best.ckpt")
    other = make_network(1, False, "test_vit", "unet", size=64, weights=str(tmp_path / "best.ckpt"))
    first, second = one.encoder.state_dict(), other.encoder.state_dict()
    assert [name for name in first if not torch.equal(first[name], second[name])] == ["model.pos_embed"]

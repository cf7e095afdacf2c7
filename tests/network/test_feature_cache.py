"""Features of a frozen encoder: equal to those without the cache, computed once, for each image and encoder its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from torch import Tensor

from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.errors import ConfigError
from tandem.network import Network, feature_cache, make_network
from tandem.network.feature_cache import forget, kept_bytes
from tandem.runs.restore import restore
from tandem.train.run import check_config, train

CNN: dict[str, Any] = {"backbone": "small_cnn", "backbone_options": {"widths": (4, 8, 8, 8, 12)}, "size": 32}
UNET = {**CNN, "decoder": "unet", "decoder_options": {"decoder_channels": [8, 8, 8, 8, 8]}}
FPN = {**CNN, "decoder": "fpn"}
VIT = {"backbone": "test_vit", "decoder": "unet", "pyramid_channels": 32, "size": 32, "depth": 4}
VIT |= {"decoder_options": {"decoder_channels": [8, 8, 8, 8]}}
DPT = {"backbone": "test_vit", "decoder": "dpt", "size": 64, "depth": 4}
DPT |= {"decoder_options": {"decoder_intermediate_channels": [8, 8, 8, 8], "decoder_fusion_channels": 8}}


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    forget()
    yield
    forget()


def network(options: dict[str, Any], cached: bool = True, dense: bool = True, seed: int = 0) -> Network:
    torch.manual_seed(seed)
    return make_network(1, dense, **options, freeze="encoder", cache_features=cached).train()


def images(rows: int, side: int = 32) -> Tensor:
    return torch.rand(rows, 1, side, side, generator=torch.Generator().manual_seed(1))


def counted(module: Network) -> list[int]:
    """Rows of each call of the encoder from now on."""
    calls: list[int] = []
    module.encoder.register_forward_hook(lambda _, given, __: calls.append(len(given[0])))
    return calls


@pytest.mark.parametrize(
    "options",
    [UNET, pytest.param(FPN, marks=pytest.mark.full), VIT, pytest.param(DPT, marks=pytest.mark.full)],
    ids=["unet", "fpn", "vit", "dpt"],
)
def test_features_are_equal_and_computed_once(options: dict[str, Any]) -> None:
    plain, kept = network(options, cached=False), network(options)
    calls, seen = counted(kept), images(6, options["size"])
    for rows in ([0, 1, 2, 3], [5, 4, 3, 2], [0, 1, 2, 3, 4, 5], [2, 2]):
        for mode in (False, True):
            torch.manual_seed(3)
            expected = plain.train(mode)(seen[rows])
            torch.manual_seed(3)
            found = kept.train(mode)(seen[rows])
            assert expected.dense is not None
            assert found.dense is not None
            torch.testing.assert_close(found.deep, expected.deep, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(found.dense, expected.dense, rtol=1e-3, atol=1e-4)
            assert found.deep.stride() == expected.deep.stride(), "a decoder would be slower on another layout"
            assert found[2:] == expected[2:]
    assert calls == [1] * 6
    again = network(options)
    calls = counted(again)
    again(seen)
    assert not calls, "the second run of a sweep"


def test_other_encoders_images_and_precisions_have_their_own() -> None:
    first = network(FPN)
    first(images(2))
    other, plain = network(FPN, seed=1), network(FPN, cached=False, seed=1)
    calls = counted(other)
    torch.testing.assert_close(other.eval()(images(2)).deep, plain.eval()(images(2)).deep, rtol=1e-4, atol=1e-5)
    assert calls == [1, 1]
    other.load_state_dict(first.state_dict())
    assert torch.equal(other(images(2)).deep, first(images(2)).deep), "loaded weights are noticed"
    assert calls == [1, 1]
    other(images(2) + 0.01)
    with torch.autocast("cpu", torch.bfloat16):
        assert other(images(2)).deep.dtype == torch.bfloat16
    assert calls == [1] * 6


def test_a_decoder_finds_what_another_has_left_and_adds_what_it_reads() -> None:
    probe, seen = network(FPN, dense=False), images(3)
    probe(seen)
    deep = kept_bytes()
    assert deep == 3 * 12 * 4, "a linear probe keeps the deepest map alone"
    unet = network(UNET)
    unet(seen)
    assert kept_bytes() == 3 * 4 * (4 * 16**2 + 8 * 8**2 + 8 * 4**2 + 8 * 2**2 + 12)
    calls = counted(probe)
    probe(seen)
    assert not calls
    calls = counted(fpn := network(FPN))
    fpn(seen)
    assert not calls
    vit, dpt = network({**VIT, "size": 64}), network(DPT)
    assert len(vit.levels(images(1, 64))) < len(dpt.levels(images(1, 64))), "one map, and those of four blocks"


def test_features_of_validation_can_be_trained_on() -> None:
    kept = network(FPN)
    with torch.inference_mode():
        kept.eval()(images(2))
    found = kept.train()(images(2)).dense
    assert found is not None
    found.sum().backward()
    assert kept.decoder is not None
    assert all(parameter.grad is not None for parameter in kept.decoder.parameters())


def test_a_gradient_of_the_image_goes_through_the_encoder() -> None:
    gradients = []
    for cached in (False, True):
        kept = network(FPN, cached).eval()
        kept(images(2))
        image = images(2).requires_grad_()
        kept(image).deep.square().sum().backward()
        gradients.append(image.grad)
    assert gradients[0] is not None
    assert gradients[1] is not None
    assert gradients[0].abs().sum() > 0
    torch.testing.assert_close(gradients[1], gradients[0])


def test_the_oldest_encoder_makes_room_and_too_many_images_are_not_kept() -> None:
    first, second = network(FPN), network(FPN, seed=1)
    first(images(4))
    one = kept_bytes()
    assert second.cache is not None
    second.cache.limit = one
    second(images(4))
    assert kept_bytes() == one
    calls = counted(first)
    first(images(1))
    assert calls == [1], "its features were dropped"
    forget()
    second.cache.limit = one / 2
    calls = counted(second)
    for _ in range(2):
        second(images(4))
    assert kept_bytes() == one / 2
    assert len(calls) == 4 + 2, "the rest is computed again"


@pytest.mark.parametrize("freeze", ["none", "until_epoch_2"])
def test_an_encoder_that_changes_is_refused(freeze: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"^network\.cache_features=true .* network\.freeze is {freeze}; set network"
    ):
        make_network(1, True, **FPN, freeze=freeze, cache_features=True)


SMALL = ["experiment=tiny", "data.train=12", "data.val=6", "data.test=6", "data.seed=3", "logger=none"]
SMALL += ["callbacks.panels=null", "trainer.enable_progress_bar=false", "network=fpn", "network.backbone=small_cnn"]
SMALL += ["data.size=32", "network.freeze=encoder", "network.dropout=0.1"]


def configured(*overrides: str) -> dict[str, Any]:
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return dict(resolve(compose("train", overrides=[*SMALL, *overrides])))


def test_augmented_images_are_refused_before_anything_is_built() -> None:
    with pytest.raises(ConfigError, match=r"^network\.cache_features=true .* set augment=none"):
        check_config(configured("network.cache_features=true", "augment=light"))
    files = {"_target_": "tandem.data.folder.Folder", "root": "x", "fit": "crop", "crop": "random"}
    with pytest.raises(ConfigError, match=r"^network\.cache_features=true .* set data\.crop=centre"):
        check_config({**configured("network.cache_features=true"), "data": files})


class Stop(pl.Callback):
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch == 1:
            raise RuntimeError("stopped here")


def trained(folder: Path, *overrides: str, epochs: int = 2, stop: bool = False) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    config = configured(*overrides)
    config["trainer"] = {**config["trainer"], "max_epochs": epochs}
    return train(config, folder, [Stop()] if stop else [])


def numbers(results: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value in results["metrics"].items() if "/time" not in name}


@pytest.mark.full
def test_a_run_has_the_numbers_of_one_without_cache_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plain = trained(tmp_path / "plain")
    with caplog.at_level("INFO"):
        kept = trained(tmp_path / "kept", "network.cache_features=true")
    assert "features of 24 images are computed once and kept in memory" in caplog.text
    assert numbers(kept) == pytest.approx(numbers(plain), rel=1e-4, abs=1e-5, nan_ok=True)
    forget()
    with pytest.raises(RuntimeError, match="stopped here"):
        trained(tmp_path / "broken", "network.cache_features=true", stop=True)
    forget()  # another process
    trained(tmp_path / "broken", "network.cache_features=true")
    whole, resumed = (restore(tmp_path / name).module for name in ("kept", "broken"))
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in whole.state_dict().items())
    assert isinstance(whole.network, Network)
    assert whole.network.cache is None, "a restored run sees each image once"
    monkeypatch.setattr(feature_cache, "free_memory", lambda: 0)
    with pytest.raises(
        ConfigError, match=r"^network\.cache_features=true needs 0\.\d+ GB of memory for features of 24"
    ):
        trained(tmp_path / "large", "network.cache_features=true")

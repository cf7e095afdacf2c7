"""Every decoder with every kind of backbone: each pair works, or is refused in one line before data are read."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from tests.network.test_make import DECODERS, options

from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.errors import ConfigError
from tandem.evaluate import main as evaluate
from tandem.export import export_run
from tandem.factory import image_size, make_data, make_module
from tandem.network import make_network
from tandem.predict import main as predict
from tandem.train.checks.shapes import check_shapes
from tandem.train.run import train

SIZES = (64, 128)
"""Sides of images; of less than 128 px, the decoder `pan` can do nothing where the deepest map has a stride of 16."""

QUICK: dict[str, dict[str, Any]] = {
    "strides 2 to 32": {"backbone": "test_resnet"},
    "strides 4 to 32": {"backbone": "test_convnext"},
    "strides 4 to 16": {"backbone": "test_convnext", "depth": 4},
    "one stride": {"backbone": "test_vit", "pyramid_channels": 16},
    "dilated": {"backbone": "test_resnet", "output_stride": 8},
    "cannot be dilated": {"backbone": "small_cnn"},
}
"""Kinds of backbones, by a small one of each."""

FURTHER: dict[str, dict[str, Any]] = {
    "windows of one size": {"backbone": "swin_tiny_patch4_window7_224"},
    "strides 2 to 8": {"backbone": "test_resnet", "depth": 3},
}
"""Kinds whose smallest backbone is large, and one that differs little, for the long table alone."""

SLOW = "the next data.size that works"
"""Of messages that take seconds, as sizes are tried; `test_transformer_runs` has some of them."""

DILATES = {"deeplabv3", "deeplabv3plus", "pan"}
"""Decoders that need a dilated backbone."""

LISTS = {"manet", "unet", "unetplusplus"}
"""Decoders with a number of channels for each level."""


def refusal(decoder: str, kind: str, size: int) -> str | None:
    """What the message says if the pair is refused; None if it works."""
    given = {**QUICK, **FURTHER}[kind]
    depth, stride = given.get("depth", options(decoder)["depth"]), given.get("output_stride", 32)
    if decoder == "dpt" and kind != "one stride":
        return "reads the tokens of a plain vision transformer"
    if decoder in LISTS and depth != 5:
        return f"decoder_options.decoder_channels has 5 values, but network.depth is {depth}"
    if stride != 32 and decoder not in DILATES:
        return f"decoder '{decoder}' needs output_stride=32, not {stride}"
    if decoder in DILATES and kind in ("cannot be dilated", "windows of one size"):
        return "cannot be dilated"
    if decoder == "pan" and stride == 8:
        return "support output stride 16 or 32, got 8"
    if decoder == "fpn" and kind == "strides 4 to 16":
        return r"set network.depth=5"
    if decoder == "pan" and size < 128 and kind != "strides 2 to 8":  # it halves the deepest map three times
        return f"{SLOW} is 128"
    return None


SMALL = ["experiment=tiny", "data.train=8", "data.val=8", "data.test=8", "data.seed=3", "logger=none"]
SMALL += ["callbacks.panels=null", "trainer.enable_progress_bar=false", "loader.batch_size=4"]


@pytest.fixture(scope="module")
def base() -> dict[str, Any]:
    """The resolved configuration of a tiny run."""
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return dict(resolve(compose("train", overrides=SMALL)))


def configured(base: Mapping[str, Any], decoder: str, kind: str, size: int) -> dict[str, Any]:
    network = {"_target_": "tandem.network.make_network", **options(decoder), **{**QUICK, **FURTHER}[kind]}
    return {**base, "network": network, "data": {**base["data"], "size": size}}


def built(config: Mapping[str, Any]) -> Any:
    """The module, checked as a command does it before it reads data."""
    pl.seed_everything(0, verbose=False)
    info = make_data(config).info
    module = make_module(config, info)
    check_shapes(module, info.channels, image_size(config["data"]), 4)
    return module


def pairs() -> list[Any]:
    """Decoder and kind; what `test_make` and `test_transformer` build, and slow refusals, are for the long table."""
    table = {(decoder, kind): refusal(decoder, kind, SIZES[0]) for decoder in DECODERS for kind in QUICK}
    elsewhere = ("strides 2 to 32", "one stride")
    return [
        pair
        for pair, message in table.items()
        if (pair[1] not in elsewhere if message is None else SLOW not in message)
    ]


@pytest.mark.parametrize(("decoder", "kind"), pairs())
def test_each_pair_is_trained_a_step_or_refused(base: dict[str, Any], decoder: str, kind: str) -> None:
    size = SIZES[0]
    config, message = configured(base, decoder, kind, size), refusal(decoder, kind, size)
    if message is not None:
        with pytest.raises(ConfigError, match=message) as error:
            built(config)
        assert "\n" not in str(error.value)
        return
    torch.manual_seed(0)
    network = make_network(1, True, size=size, **{**options(decoder), **QUICK[kind]})
    features = network(torch.rand(2, 1, size, size))
    assert features.dense is not None
    (features.dense.square().mean() + features.deep.square().mean()).backward()
    assert [name for name, parameter in network.named_parameters() if not parameter.numel()] == []


@pytest.mark.full
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", [*QUICK, *FURTHER])
@pytest.mark.parametrize("decoder", DECODERS)
def test_each_pair_from_training_to_export(
    base: dict[str, Any], decoder: str, kind: str, size: int, tmp_path: Path, in_process: Callable[..., Any], trees: Any
) -> None:
    config, message = configured(base, decoder, kind, size), refusal(decoder, kind, size)
    folder = tmp_path / "run"
    folder.mkdir()
    if message is not None:
        with pytest.raises(ConfigError, match=message) as error:
            train(config, folder)
        assert "\n" not in str(error.value)
        return
    train(config, folder)
    assert in_process(evaluate)(f"run={folder}", "samples=10", "page=false").code == 0
    images = trees.folders(tmp_path / "images", count=1)
    assert in_process(predict)(f"run={folder}", f"images={images}", f"out={tmp_path / 'out'}").code == 0
    assert torch.tensor(export_run(folder)[1]) < 1e-4

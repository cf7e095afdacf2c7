"""Weights really arrive, or are refused at once and in one line."""

import hashlib
import http.server
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from tandem.errors import ConfigError
from tandem.network import make_network, small_cnn, weights

MODELS = ["test_resnet", "mobilenetv2_050", "convnext_atto", "small_cnn"]


def trained(name: str, **options: Any) -> dict[str, torch.Tensor]:
    """State of a timm model with every number its own, as after training."""
    small_cnn.register()
    torch.manual_seed(5)
    state = timm.create_model(name, pretrained=False, **options).state_dict()
    return {key: torch.randn_like(t).abs() if t.is_floating_point() else t for key, t in state.items()}


def save(state: dict[str, torch.Tensor], path: Path) -> str:
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return str(path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_local_file_arrives(
    tmp_path: Path, name: str, suffix: str, channels: int, caplog: pytest.LogCaptureFixture
) -> None:
    state = trained(name, num_classes=7)
    network = make_network(channels, False, name, "unet", weights=save(state, tmp_path / f"model{suffix}"))
    found = list(network.encoder.state_dict().values())
    values = list(state.values())
    first = values[0]
    if channels == 1:
        first = first.sum(dim=1, keepdim=True)  # a grey image answers as its red, green and blue copy would
    torch.testing.assert_close(found[0], first)
    for tensor in found[1:]:
        assert any(tensor.shape == value.shape and torch.equal(tensor, value) for value in values)
    assert not [record for record in caplog.records if record.name.startswith("tandem")]


def test_the_decoder_stays_as_the_seed_made_it(tmp_path: Path) -> None:
    path = save(trained("test_resnet"), tmp_path / "model.pth")
    network = make_network(1, True, "test_resnet", "unet", weights=path)
    assert network.decoder is not None
    assert all(parameter.isfinite().all() for parameter in network.decoder.parameters())


@pytest.mark.parametrize("name", ["test_resnet", "small_cnn"])
def test_a_file_of_another_model_is_refused(tmp_path: Path, name: str) -> None:
    path = save(trained("test_convnext"), tmp_path / "other.pth")
    with pytest.raises(ConfigError, match=r"other\.pth"):
        make_network(1, False, name, "unet", weights=path)


def test_a_file_that_lacks_some_tensors_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = {key: value for key, value in trained("test_resnet").items() if not key.startswith("layer4")}
    make_network(1, False, "test_resnet", "unet", weights=save(state, tmp_path / "part.pth"))
    (record,) = (record for record in caplog.records if record.name.startswith("tandem"))
    assert "part.pth' lacks" in record.getMessage()
    assert "layer4" in record.getMessage()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".bin"])
@pytest.mark.parametrize("content", [b"", b"no weights at all" * 9], ids=["empty", "garbage"])
def test_a_broken_file_is_refused_by_name(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"broken\{suffix}") as error:
        make_network(1, False, "test_resnet", "unet", weights=str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["absent.pth", "."])
def test_a_file_that_is_not_there_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"network\.weights: no file '.*'; give a \.safetensors or \.pth file"):
        make_network(1, False, "test_resnet", "unet", weights=str(tmp_path / name))


def test_a_file_is_found_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    save(trained("test_resnet"), tmp_path / "model.pth")
    make_network(3, False, "test_resnet", "unet", weights="~/model.pth")
    assert weights.origin({"weights": "~/model.pth"}) == {
        "file": "model.pth",
        "sha256": hashlib.sha256((tmp_path / "model.pth").read_bytes()).hexdigest(),
    }


def test_the_origin_of_weights_uses_timm_s_names() -> None:
    found = weights.origin({"backbone": "resnet18", "pretrained": True, "weights": None})
    assert found == {"model": "resnet18", "repository": "timm/resnet18.a1_in1k"}
    assert weights.origin({"backbone": "resnet18", "pretrained": False}) is None
    assert weights.origin({"_target_": "mine.Network"}) is None


def test_a_model_without_weights_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"no weights for 'small_cnn'; set network\.pretrained=false"):
        make_network(1, False, "small_cnn", "unet", pretrained=True)


@pytest.fixture
def empty_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@pytest.mark.usefixtures("empty_cache")
@pytest.mark.parametrize("address", ["http://127.0.0.1:{closed}", "http://[", "nonsense", "http://127.0.0.1:{silent}"])
def test_a_host_out_of_reach_is_an_error_at_once(
    monkeypatch: pytest.MonkeyPatch, silent_port: int, address: str
) -> None:
    monkeypatch.setattr(weights, "PATIENCE", 0.3)
    place = address.format(closed=closed_port(), silent=silent_port)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", place)
    started = time.monotonic()
    with pytest.raises(ConfigError, match=r"cannot be reached; set network\.pretrained=false, or network\.w"):
        make_network(1, False, "resnet18", "unet", pretrained=True)
    assert time.monotonic() - started < 3


@pytest.mark.usefixtures("empty_cache")
def test_offline_is_believed_without_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(weights, "_reachable", lambda _: pytest.fail("asked"))
    with pytest.raises(ConfigError, match="not in the local cache"):
        weights.pretrained_options("resnet18", True, None)


def test_cached_weights_need_no_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: "model.safetensors")
    monkeypatch.setattr(weights, "_reachable", lambda _: pytest.fail("asked"))
    assert weights.pretrained_options("resnet18", True, None) == {}


def test_without_weights_wanted_nothing_is_asked() -> None:
    assert weights.pretrained_options("resnet18", False, None) is None


class Refusing(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.usefixtures("empty_cache")
def test_a_host_that_answers_anything_is_within_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        assert weights.pretrained_options("resnet18", True, None) == {}
        thread.join()


@pytest.mark.parametrize(
    ("name", "channels", "mean", "std"),
    [
        ("resnet18", 3, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ("resnet18", 1, [0.449], [0.226]),
        ("resnet18", 2, [0.449] * 2, [0.226] * 2),
        ("small_cnn", 3, [0.5] * 3, [0.5] * 3),
        ("small_cnn", 1, [0.5], [0.5]),
    ],
)
def test_statistics_are_those_of_the_weights(name: str, channels: int, mean: list[float], std: list[float]) -> None:
    small_cnn.register()
    found = weights.statistics(name, channels)
    assert found[0] == pytest.approx(mean)
    assert found[1] == pytest.approx(std)

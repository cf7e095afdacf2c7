"""Exported files: they answer as PyTorch does, describe themselves, and are not written if they are wrong."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import Tensor

from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.decisions.decision import Decision, as_plain
from tandem.errors import ConfigError, DataError
from tandem.export import export_run, formats, main
from tandem.export.command import largest_difference
from tandem.runs.inference import Inference
from tandem.runs.restore import restore
from tandem.train.run import train

SMALL = ["experiment=tiny", "data.train=12", "data.val=12", "data.test=12", "data.seed=3", "data.size=64"]
SMALL += ["logger=none", "callbacks.panels=null", "trainer.enable_progress_bar=false"]


def made(folder: Path, *overrides: str) -> Path:
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("train", overrides=[*SMALL, *overrides])
    folder.mkdir()
    train(resolve(config), folder)
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a plain network."""
    return made(tmp_path_factory.mktemp("small") / "run")


@pytest.fixture(scope="module")
def other_family(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a feature pyramid on ConvNeXt."""
    folder = tmp_path_factory.mktemp("fpn") / "run"
    return made(folder, "network=fpn", "network.backbone=test_convnext", "data.size=32")


@pytest.fixture(scope="module")
def onnx_file(small: Path) -> Path:
    """The plain network as ONNX."""
    file, difference = export_run(small)
    assert difference <= 1e-4
    return file


def make_images(count: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, 1, height, width), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("shape", [(1, 64, 64), (5, 64, 64), (2, 96, 64)])
def test_the_file_answers_as_the_run_does(small: Path, onnx_file: Path, shape: tuple[int, int, int]) -> None:
    run = restore(small)
    image = make_images(*shape)
    session = onnxruntime.InferenceSession(onnx_file)
    found = dict(zip([o.name for o in session.get_outputs()], session.run(None, {"image": image.numpy()}), strict=True))
    with torch.no_grad():
        logits = run.module(image.float() / 255)
    masks = torch.sigmoid(logits["segmentation"]).numpy()
    np.testing.assert_allclose(found["segmentation_probabilities"], masks, atol=1e-4)
    np.testing.assert_allclose(found["classification_probabilities"], logits["classification"].softmax(1), atol=1e-4)
    threshold = run.results["thresholds"]["segmentation"][0]
    np.testing.assert_array_equal(found["segmentation_answer"], found["segmentation_probabilities"] >= threshold)


def test_the_file_describes_itself(small: Path, onnx_file: Path) -> None:
    model = onnx.load(onnx_file)
    metadata = {entry.key: json.loads(entry.value) for entry in model.metadata_props if entry.key.startswith("tandem.")}
    run = restore(small)
    assert metadata["tandem.classes"] == ["normal", "benign", "malignant"]
    thresholds = {name: task["threshold"] for name, task in metadata["tandem.tasks"].items()}
    assert thresholds["segmentation"] == pytest.approx(run.results["thresholds"]["segmentation"])
    assert thresholds["classification"] is None
    assert metadata["tandem.input"]["channels"] == 1
    assert "multiple of" in metadata["tandem.input"]["sides"]
    assert metadata["tandem.run"]["hash"] == run.results["hash"]
    assert metadata["tandem.data"]["fingerprint"] == run.results["data"]["fingerprint"]


@pytest.mark.full
def test_a_torch_program_does_the_same_without_tandem(small: Path, tmp_path: Path) -> None:
    file, difference = export_run(small, "torch", tmp_path / "deep" / "model.pt2")
    assert difference <= 1e-6
    extra = {"tandem.classes": ""}
    program = torch.export.load(file, extra_files=extra).module()
    assert json.loads(extra["tandem.classes"]) == ["normal", "benign", "malignant"]
    classes, mask, answer = program(make_images(3, 64, 64))
    assert (classes.shape, mask.shape, answer.dtype) == ((3, 3), (3, 1, 64, 64), torch.uint8)


@pytest.mark.full
def test_another_family_goes_through_too(other_family: Path) -> None:
    file, difference = export_run(other_family)
    assert difference <= 1e-4
    assert file == other_family / "export" / "model.onnx"
    metadata = {entry.key: json.loads(entry.value) for entry in onnx.load(file).metadata_props}
    assert metadata["tandem.input"]["sides"] == "32 alone", "one stride is all there is"


class Echo(formats.Format):
    """A file with prescribed answers, without the seconds that tracing takes."""

    suffix = ".echo"
    answer: Callable[[Tensor], list[Tensor]]

    def pack(self, program: Any, names: Sequence[str], metadata: Mapping[str, str]) -> bytes:
        return json.dumps(dict(metadata)).encode()

    def open(self, content: bytes) -> formats.Ask:
        return type(self).answer


@pytest.fixture
def echo(small: Path, monkeypatch: pytest.MonkeyPatch) -> type[Echo]:
    """The only format, right to begin with."""
    inference = Inference(restore(small).module)
    monkeypatch.setattr(Echo, "answer", staticmethod(lambda image: list(inference(image))), raising=False)
    monkeypatch.setattr(formats, "FORMATS", {"torch": Echo})
    monkeypatch.setattr("tandem.export.program.trace", lambda *_: (None, False))
    return Echo


def test_a_file_that_differs_is_not_left(
    small: Path, echo: type[Echo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = echo.answer
    wrong = staticmethod(lambda image: [value + 1 if value.is_floating_point() else value for value in right(image)])
    monkeypatch.setattr(echo, "answer", wrong)
    with pytest.raises(DataError, match=r"differs from PyTorch by .*, more than tolerance=1e-04; no file was written"):
        export_run(small, "torch", tmp_path / "model.pt2")
    assert list(tmp_path.iterdir()) == []


def wrong_answer(image: Tensor, inference: Inference) -> list[Tensor]:
    return [1 - value if value.dtype == torch.uint8 else value for value in inference(image)]


def wrong_shape(image: Tensor, inference: Inference) -> list[Tensor]:
    return [value[:, :1, :1] if value.ndim == 4 else value for value in inference(image)]


def not_a_number(image: Tensor, inference: Inference) -> list[Tensor]:
    return [value * float("nan") if value.is_floating_point() else value for value in inference(image)]


@pytest.mark.parametrize("ask", [wrong_answer, wrong_shape, not_a_number])
def test_what_is_wrong_is_seen(small: Path, ask: Callable[[Tensor, Inference], list[Tensor]]) -> None:
    inference = Inference(restore(small).module)
    assert largest_difference(inference, lambda image: list(inference(image)), 1, [(64, 64)]) == 0
    assert not largest_difference(inference, lambda image: ask(image, inference), 1, [(64, 64)]) <= 1e-4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"format_name": "onx"}, r"format is 'onx': did you mean 'onnx'"),
        ({"tolerance": 0.0}, r"tolerance is 0\.0, but must be above 0"),
        ({"tolerance": float("nan")}, "tolerance is nan"),
    ],
)
def test_bad_settings_are_one_line(small: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        export_run(small, **arguments)


@pytest.mark.full
def test_it_holds_threshold_and_temperature(small: Path, tmp_path: Path) -> None:
    run = restore(small)
    plain = Inference(run.module)
    before = dict(zip(plain.names, plain(make_images(3, 64, 64)), strict=True))
    decision = as_plain(Decision(temperature=2.0, images=12))
    content = {"run": run.results["hash"], "decisions": dict.fromkeys(run.module.tasks, decision)}
    (tmp_path / "decisions.json").write_text(json.dumps(content))
    decide = str(tmp_path / "decisions.json")
    file, _ = export_run(small, out=tmp_path / "model.onnx", threshold=0.3, decide=decide)
    session = onnxruntime.InferenceSession(file.read_bytes())
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(None, {"image": make_images(3, 64, 64).numpy()}), strict=True))
    p = before["segmentation_probabilities"].double()
    np.testing.assert_allclose(found["segmentation_probabilities"], torch.sigmoid(torch.logit(p) / 2), atol=1e-4)
    near = np.abs(found["segmentation_probabilities"] - 0.3) < 1e-4
    np.testing.assert_array_equal(
        found["segmentation_answer"][~near], found["segmentation_probabilities"][~near] >= 0.3
    )
    tasks = json.loads(session.get_modelmeta().custom_metadata_map["tandem.tasks"])
    assert (tasks["segmentation"]["temperature"], tasks["segmentation"]["threshold"]) == (2.0, [0.3])


def test_rankdice_and_post_processing_are_refused(small: Path, tmp_path: Path) -> None:
    pytest.importorskip("rankseg", reason="the extra rankdice is not installed")
    with pytest.raises(ConfigError, match=r"decided by rankdice, but an exported file holds .* add decide=threshold"):
        export_run(small, out=tmp_path / "model.onnx", decide="rankdice")
    assert not (tmp_path / "model.onnx").exists()


def test_the_command_as_typed(small: Path, echo: type[Echo], in_process: Callable[..., Any], tmp_path: Path) -> None:
    run = in_process(main)
    done = run(f"run={small}", "format=torch", f"out={tmp_path / 'm.pt2'}")
    assert (done.code, done.err) == (0, "")
    assert f"{tmp_path / 'm.pt2'}: " in done.out
    assert "largest difference from PyTorch 0.0e+00" in done.out
    assert (tmp_path / "m.pt2").stat().st_size > 0
    assert run(f"run={small.parent}", "format=torch").error.startswith(f"run={small.parent} is not a run folder")
    assert run().error == "run has no value; give it, for instance run=VALUE"
    for out in (".", str(tmp_path), "runs/"):
        (tmp_path / "runs").mkdir(exist_ok=True)
        assert (
            "is a folder, but must be a file; name one in it" in run(f"run={small}", "format=torch", f"out={out}").error
        )
    assert run("-m", f"run={small}", "format=torch,onnx").error.startswith("-m is for training")
    assert not (tmp_path / "multirun").exists()

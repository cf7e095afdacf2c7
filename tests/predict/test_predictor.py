"""The predictor: sources, ensembles, flips, kinds of task, families of networks."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.predict.conftest import GOOD, Runs, blob, tagged

import tandem
from tandem.data.files.placement import Placement
from tandem.errors import ConfigError, DataError
from tandem.predict.ensemble import agreed
from tandem.predict.predictor import Prediction
from tandem.runs.restore import restore
from tandem.tasks.kinds import ClassLabel, Question, YesNo

FAMILY = ("network=fpn", "network.backbone=test_convnext")


def same(first: Prediction, second: Prediction, atol: float = 1e-6) -> bool:
    return (first.width, first.height) == (second.width, second.height) and all(
        np.allclose(answer.values, second[task].values, atol=atol) for task, answer in first.answers.items()
    )


def test_one_image_from_every_kind_of_source(run: Path, tmp_path: Path) -> None:
    predictor = tandem.load(run, device="cpu")
    levels = blob(40, 60)
    Image.fromarray(levels).save(tmp_path / "a.png")
    sources: list[Any] = [
        tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(levels), levels, levels[:, :, None],
        np.repeat(levels[:, :, None], 3, 2), levels / 255, torch.from_numpy(levels),
        torch.from_numpy(levels)[None], torch.from_numpy(levels)[None].expand(3, -1, -1) / 255,
    ]  # fmt: skip
    (expected,) = predictor.predict(tmp_path / "a.png")
    assert (expected.width, expected.height) == (60, 40)
    assert expected["segmentation"].mask.shape == (1, 40, 60)
    assert expected["segmentation"].mask.dtype == bool
    assert set(expected["classification"].probabilities) == {"normal", "benign", "malignant"}
    for source in sources:
        (alone,) = predictor.predict(source)
        assert same(expected, alone), source
    (deep,) = predictor.predict(levels.astype(np.uint16) * 257)
    assert same(expected, deep, atol=1e-2), "up to the rounding of 8-bit images"
    for found in predictor.predict(sources, batch_size=4):
        assert same(expected, found)
    assert len(predictor.predict(np.stack([levels, levels])[..., None])) == 2
    assert len(predictor.predict(torch.zeros(3, 1, 40, 60))) == 3
    assert predictor.predict([]) == []


def test_no_image_at_once_is_refused(run: Path) -> None:
    with pytest.raises(ConfigError, match="batch_size is 0, but must be at least 1"):
        tandem.load(run, device="cpu").predict(blob(40, 60), batch_size=0)


def test_a_turned_image_is_seen_upright(run: Path, tmp_path: Path) -> None:
    predictor, upright = tandem.load(run, device="cpu"), Image.fromarray(blob(40, 60))
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    turned.save(tmp_path / "a.png", exif=tagged(6))
    (expected,) = predictor.predict(upright)
    with Image.open(tmp_path / "a.png") as opened:
        assert all(same(expected, found) for found in predictor.predict([tmp_path / "a.png", opened]))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("gone.png", "does not exist"),
        (np.zeros((4, 5, 2), np.uint8), r"an array of shape \(4, 5, 2\) is not an image \(H, W\) or \(H, W, C\)"),
        (torch.zeros(2, 4, 5), r"a tensor of shape \(2, 4, 5\) is not an image \(H, W\) or \(C, H, W\)"),
        (np.zeros((0, 5), np.uint8), r"shape \(0, 5\)"),
        (np.full((4, 4), 2.0), r"outside \[0, 1\]"),
        (np.full((4, 4), np.nan), "or nan"),
        (np.zeros((4, 4), np.int64), "int64 is not supported"),
        ([3], "int is not an image"),
        ([Image.new("LAB", (4, 4))], "mode LAB"),
    ],
)
def test_what_is_no_image_is_refused(run: Path, source: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        tandem.load(run, device="cpu").predict(source)


def of_another_name(run: Path, place: Path) -> Path:
    """A run with the weights of another and a hash of its own."""
    shutil.copytree(run, place)
    text = (place / "results.json").read_text()
    (place / "results.json").write_text(text.replace('"hash": "', '"hash": "f', 1))
    (place / "artifacts.json").unlink()  # else the change is found by its digest
    return place


def test_an_ensemble_is_the_mean_of_its_runs(run: Path, other: Path, tmp_path: Path) -> None:
    folders = [run, of_another_name(run, tmp_path / "again"), other]
    image = blob(50, 70)
    predictor = tandem.load(folders, device="cpu")
    (found,) = predictor.predict(image)
    alone = [tandem.load(folder, device="cpu").predict(image)[0] for folder in folders]
    for task in ("classification", "segmentation"):
        mean = np.mean([prediction[task].values for prediction in alone], axis=0)
        np.testing.assert_allclose(found[task].values, mean, atol=1e-6)
    thresholds = [restore(folder).results["thresholds"]["segmentation"][0] for folder in folders]
    (question,) = [q for q in predictor.questions if q.name == "segmentation"]
    assert question.thresholds == pytest.approx([np.mean(thresholds)])
    np.testing.assert_array_equal(found["segmentation"].mask, found["segmentation"].values >= question.thresholds[0])


def test_a_copy_counts_once_and_one_that_differs_is_refused(run: Path, other: Path, tmp_path: Path) -> None:
    image = blob(50, 70)
    (alone,) = tandem.load([run, other], device="cpu").predict(image)
    copy = Path(shutil.copytree(run, tmp_path / "copy"))
    (found,) = tandem.load([run, other, copy], device="cpu").predict(image)
    np.testing.assert_array_equal(found["segmentation"].values, alone["segmentation"].values)
    checkpoint = torch.load(copy / "best.ckpt", weights_only=True)
    checkpoint["elsewhere"] = 1  # the same weights in another file
    torch.save(checkpoint, copy / "best.ckpt")
    assert tandem.load([run, copy]).ensemble.members.keys() == tandem.load(run).ensemble.members.keys()
    name, weights = next((k, v) for k, v in checkpoint["state_dict"].items() if v.is_floating_point())
    checkpoint["state_dict"][name] = weights + 1e-3
    torch.save(checkpoint, copy / "best.ckpt")
    with pytest.raises(ConfigError, match=r"have the same hash .*but other weights \(best.ckpt\)"):
        tandem.load([run, copy])


def test_runs_may_be_named_by_a_pattern(run: Path, other: Path, tmp_path: Path) -> None:
    for name, folder in (("a", run), ("b", other)):
        (tmp_path / name).symlink_to(folder)
    (tmp_path / "multirun.yaml").touch()
    by_pattern, by_list = tandem.load(str(tmp_path / "*")), tandem.load([run, other])
    assert by_pattern.questions == by_list.questions
    with pytest.raises(ConfigError, match="twice, so it would count twice"):
        tandem.load([run, tmp_path / "a"])


CLASS = Question("class", ClassLabel(), ("benign", "malignant"))


@pytest.mark.parametrize(
    ("questions", "message"),
    [
        ([replace(CLASS, names=("malignant", "benign"))], r"differ in the task 'class' \(benign, malignant\)"),
        ([CLASS, Question("is", YesNo(), ("cyst",), (0.5,))], r"differ in the task 'is' \(cyst\)"),
        ([], "differ in the task 'class'"),
    ],
)
def test_runs_that_ask_other_things_are_no_ensemble(run: Path, questions: list[Question], message: str) -> None:
    made = restore(run)
    for asked in ([[CLASS], questions], [questions, [CLASS]]):
        with pytest.raises(ConfigError, match="differ in the task"):
            agreed([(made, tuple(each)) for each in asked])
    with pytest.raises(ConfigError, match=message):
        agreed([(made, (CLASS,)), (made, tuple(questions))])


def test_with_flips_a_mirrored_image_has_the_mirrored_answer(run: Path) -> None:
    predictor, image = tandem.load(run, flips=True, device="cpu"), blob(64, 64)
    plain, left_right, top_down = predictor.predict([image, image[:, ::-1], image[::-1]])
    maps = plain["segmentation"].values
    np.testing.assert_allclose(left_right["segmentation"].values, maps[:, :, ::-1], atol=1e-6)
    np.testing.assert_allclose(top_down["segmentation"].values, maps[:, ::-1], atol=1e-6)
    np.testing.assert_allclose(top_down["classification"].values, plain["classification"].values, atol=1e-6)
    (bare,) = tandem.load(run, device="cpu").predict(image)
    assert not same(bare, plain)


@pytest.mark.full
def test_another_family_in_colour(runs: Runs, image_folder: Path) -> None:
    folder = runs(*FAMILY)
    files = [image_folder / name for name in GOOD]
    found = tandem.load(folder, device="cpu").predict(files, batch_size=5)
    assert [prediction["segmentation"].mask.shape[0] for prediction in found] == [1] * len(GOOD)
    assert all(sum(p["classification"].probabilities.values()) == pytest.approx(1, abs=1e-5) for p in found)


def test_yes_no_and_embedding_answer_too(runs: Runs, tmp_path: Path) -> None:
    folder = runs("task=[yes_no,embedding]")
    predictor = tandem.load(folder, device="cpu")
    (found,) = predictor.predict(blob(40, 40))
    threshold = restore(folder).results["thresholds"]["yes_no"][0]
    assert found["yes_no"].answers == {"malignant": found["yes_no"].values[0] >= np.float32(threshold)}
    assert np.linalg.norm(found["embedding"].vector) == pytest.approx(1)
    (again,) = tandem.load(folder, flips=True, device="cpu").predict(blob(40, 40))
    assert np.linalg.norm(again["embedding"].vector) == pytest.approx(1)
    with pytest.raises(ConfigError, match=r"embeddings of several runs cannot be averaged \(task 'embedding'\)"):
        tandem.load([folder, of_another_name(folder, tmp_path / "other")])


def test_a_network_that_answers_nan_is_told_of(run: Path) -> None:
    predictor = tandem.load(run, device="cpu")
    for members in predictor.ensemble.members.values():
        for parameter in members[0].parameters():
            parameter.fill_(float("nan"))
    with pytest.raises(DataError, match="is not finite"):
        predictor.predict(blob(40, 40))


def test_maps_grow_as_plain_bilinear_ones() -> None:
    maps = torch.rand(2, 16, 16, generator=torch.Generator().manual_seed(0))
    by_pillow = np.stack(
        [np.asarray(Image.fromarray(m.numpy()).resize((50, 33), Image.Resampling.BILINEAR)) for m in maps]
    )
    grown = Placement("squash", 33, 50, 16).to_file(maps)
    np.testing.assert_allclose(grown.numpy(), by_pillow, atol=1e-6)
    plain = torch.nn.functional.interpolate(maps[None], (33, 50), mode="bilinear")[0]
    torch.testing.assert_close(grown, plain, atol=1e-6, rtol=0)


def test_an_import_is_light() -> None:
    code = (
        "import sys, tandem; sys.exit(bool({'torch', 'numpy', 'PIL'} & set(sys.modules)) or not callable(tandem.load))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

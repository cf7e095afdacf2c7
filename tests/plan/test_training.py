"""A plan is trained within its budget: deadline, pooled test, one file of all folds, and the whole from end to end."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tandem
from tandem.errors import ConfigError, DataError
from tandem.plan import main
from tandem.plan.outcome import outcome_of
from tandem.plan.result_page import result_page, summary
from tandem.plan.training import epochs_in, read_state
from tandem.runs.chosen import one_run, run_folders
from tandem.runs.ensemble_file import write_ensemble
from tandem.utils.artifacts import ENSEMBLE
from tandem.utils.resampling import wilson


def test_epochs_follow_the_fold_before() -> None:
    choices = {"epochs": {"values": {"trainer.max_epochs": 40}}}
    state: dict[str, Any] = {"training": {"folds": {"0": {"epoch_seconds": 2.0}}}, "choices": choices}
    assert epochs_in(100, 40, state, 0) == 40
    assert epochs_in(100, 40, state, 1) == 50
    assert epochs_in(1e6, 40, state, 1) == 200
    assert epochs_in(100, 7, state, 1) == 7, "an edited number is not exceeded"
    assert epochs_in(-5, 40, state, 1) == 1


def made_rows(seed: int, count: int, empty: int) -> list[dict[str, str]]:
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        true, guess, sure = rng.integers(3), rng.integers(3), rng.uniform(0.34, 1)
        p = np.full(3, (1 - sure) / 2)
        p[guess] = sure
        area = 0 if number < empty else int(rng.integers(20, 400))
        rows.append({
            "id": f"{seed}/{number}", "class": "abc"[true], "classification.true": "abc"[true],
            "classification.predicted": "abc"[guess],
            **{f"classification.probability.{name}": str(value) for name, value in zip("abc", p, strict=True)},
            "segmentation.dice": str(rng.uniform()) if area else "", "segmentation.area_true": str(area),
            "segmentation.area_predicted": str(int(rng.integers(0, 2)) * 30), "segmentation.known": "4096",
        })  # fmt: skip
    return rows


def test_the_test_of_all_folds_is_pooled_as_a_loop_does_it() -> None:
    folds = [made_rows(seed, 40, 10) for seed in range(3)]
    found = outcome_of(folds)
    rows = [row for fold in folds for row in fold]
    assert (found.images, found.folds, found.lesions) == (120, 3, 90)
    for name, (count, (recall, low, high)) in found.recalls.items():
        own = [row for row in rows if row["classification.true"] == name]
        share = sum(row["classification.predicted"] == name for row in own) / len(own)
        assert count == len(own)
        assert recall == pytest.approx(share)
        assert (low, high) == pytest.approx(tuple(wilson(share, len(own), 0.95)))
    lesions = [row for row in rows if row["segmentation.dice"]]
    dice = [float(row["segmentation.dice"]) for row in lesions]
    assert found.dice is not None
    assert found.dice[0] == pytest.approx(sum(dice) / len(dice))
    assert found.dice[1] < found.dice[0] < found.dice[2]
    assert found.balanced is not None
    assert found.balanced[0] == pytest.approx(np.mean([value[0] for _, value in found.recalls.values()]))
    blank = [row for row in rows if row["segmentation.area_true"] == "0"]
    assert found.empty is not None
    assert found.empty[0] == 30
    assert found.empty[1][0] == pytest.approx(sum(row["segmentation.area_predicted"] == "0" for row in blank) / 30)
    assert sum(count for count, *_ in found.dice_by_size.values()) == 90
    assert [one for _, one, *_ in found.worst] == pytest.approx(sorted(dice)[:6])
    sure = [p for *_, p in found.wrong]
    assert sure == sorted(sure, reverse=True)
    assert sum(found.bins["count"]) == 120


def test_one_task_alone_has_a_sentence() -> None:
    rows = [{k: v for k, v in row.items() if not k.startswith("segm")} for row in made_rows(0, 30, 0)]
    assert "Dice" not in summary(outcome_of([rows]))
    rows = [{k: v for k, v in row.items() if not k.startswith("classification")} for row in made_rows(0, 30, 5)]
    assert summary(outcome_of([rows])).startswith("The mask has a mean Dice of ")


def test_names_of_the_data_are_escaped() -> None:
    rows = made_rows(0, 30, 5)
    rows[7]["id"] = "<script>x"
    rows[7]["segmentation.dice"] = "0.0"
    state = {"fingerprint": {"name": "<b>", "images": 1, "units": 1, "classes": {"<i>": 1}, "filled": 1, "empty": 0,
                             "missing": 0}}  # fmt: skip
    page = result_page("x", outcome_of([rows]), state, "predict <u>", 1)
    assert not {"<script>x", "<b>", "<i>", "<u>"} & {tag for tag in ("<script>x", "<b>", "<i>", "<u>") if tag in page}


def made_run(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "results.json").write_text('{"config": {}}')
    (folder / "best.ckpt").write_bytes(b"weights")
    (folder / "data.json").write_text("{}")
    return folder


def test_a_file_of_runs_is_read_back_and_a_changed_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))
    runs = {f"fold_{k}": made_run(tmp_path / f"r{k}") for k in range(2)}
    file = tmp_path / "all.zip"
    write_ensemble(file, runs, {name: b'{"config": {"seed": %d}}' % k for k, name in enumerate(runs)})
    before = file.read_bytes()
    write_ensemble(file, runs, {name: b'{"config": {"seed": %d}}' % k for k, name in enumerate(runs)})
    assert file.read_bytes() == before
    found = run_folders(file)
    assert [folder.name for folder in found] == ["fold_0", "fold_1"]
    assert json.loads((found[1] / "results.json").read_text()) == {"config": {"seed": 1}}
    assert (found[0] / "best.ckpt").read_bytes() == b"weights"
    with pytest.raises(ConfigError, match="holds 2 runs; this command takes one"):
        one_run(file)

    def changed(name: str, content: bytes, add: bool = False) -> Path:
        other = tmp_path / f"{len(list(tmp_path.glob('*.zip')))}.zip"
        with zipfile.ZipFile(file) as old, zipfile.ZipFile(other, "w") as new:
            for member in old.namelist():
                new.writestr(member, content if member == name else old.read(member))
            if add:
                new.writestr(name, content)
        return other

    head = json.loads(zipfile.ZipFile(file).read(ENSEMBLE))
    outside = json.dumps({**head, "runs": ["../x"]}).encode()
    for other, said in (
        (changed("fold_0/best.ckpt", b"others"), "is not the file that its hash names"),
        (changed(ENSEMBLE, outside), "outside its folder"),
        (changed(ENSEMBLE, b"{"), "cannot be read"),
        (changed("fold_0/run.py", b"print()", add=True), "no file of a run: do not trust it"),
    ):
        with pytest.raises(DataError, match=said):
            run_folders(other)
    with zipfile.ZipFile(tmp_path / "else.zip", "w") as archive:
        archive.writestr("a.json", "{}")
    with pytest.raises(DataError, match=f"without {ENSEMBLE}"):
        run_folders(tmp_path / "else.zip")
    (tmp_path / "cut.zip").write_bytes(before[:100])
    with pytest.raises(DataError, match="is not a readable zip file"):
        run_folders(tmp_path / "cut.zip")


def test_a_damaged_state_is_an_error(tmp_path: Path) -> None:
    from tandem.plan.plan import Places

    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(DataError, match="is no plan"):
        read_state(Places(tmp_path, "x"))


@pytest.mark.full
def test_from_a_folder_to_an_ensemble_that_predicts(
    in_process: Callable[..., Any], trees: Any, tmp_path: Path, browser_page: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from tandem import export, predict
    from tandem.export.mean import MeanInference
    from tandem.predict.ensemble import Ensemble
    from tandem.runs.restore import restore

    trees.folders(tmp_path / "set", 12)
    words = ("data=folder", "data.root=set", "name=mine", "calibrate=false", "data.folds=2", "data.fold=0")
    assert in_process(main)(*words).code == 0
    file = tmp_path / "plans" / "experiment" / "mine.yaml"
    text = file.read_text()
    start = text.index("max_epochs:")
    file.write_text(text[:start] + "max_epochs: 2\n" + text[text.index("\n", start) + 1 :])
    with monkeypatch.context() as stop:
        stop.setattr("tandem.plan.archive.write_archive", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert in_process(main)(*words, "run=true").code == 130
    done = in_process(main)(*words, "run=true")
    assert done.code == 0, done.err
    assert "as it stands" in done.out
    assert "fold 2 of 2: finished before" in done.out
    assert "Tested once on 24 images, each by the one of 2 folds" in done.out
    opened = browser_page(tmp_path / "plans" / "mine_result.html")
    assert opened.errors == []
    assert opened.badly_shown() == []
    found = in_process(predict.main)("run=plans/mine.zip", "images=set", "out=predicted")
    assert found.code == 0, found.err
    (prediction,) = tandem.load(tmp_path / "plans" / "mine.zip").predict(tmp_path / "set" / "benign" / "a1.png")
    assert prediction["segmentation"].mask.shape == (1, 20, 24)
    assert str(tmp_path) not in zipfile.ZipFile(tmp_path / "plans" / "mine.zip").read("fold_0/results.json").decode()
    exported = in_process(export.main)("run=plans/mine.zip", "format=torch")
    assert exported.code == 0, exported.err
    assert (tmp_path / "plans" / "mine.pt2").exists()
    runs = [restore(folder) for folder in run_folders(tmp_path / "plans" / "mine.zip")]
    image = torch.randint(0, 256, (3, 1, 32, 32), dtype=torch.uint8)
    ensemble = Ensemble(runs, device="cpu")
    expected = ensemble({view: [*image] for view in ensemble.views})
    mean = MeanInference([restore(folder) for folder in run_folders(tmp_path / "plans" / "mine.zip")])
    found = dict(zip(mean.names, mean(image), strict=True))
    for name, parts in expected.items():
        ((share, values),) = parts
        assert share == 1.0
        torch.testing.assert_close(found[f"{name}_probabilities"], torch.stack([*values]))
    thresholds = [float(run.module.tasks["segmentation"].threshold) for run in runs]
    assert float(mean.module.tasks["segmentation"].threshold) == pytest.approx(sum(thresholds) / 2)

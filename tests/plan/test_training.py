"""A plan is trained within its budget: deadline, pooled test, one file of all folds, and the whole from end to end."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import tandem
from tandem.callbacks import Deadline
from tandem.errors import ConfigError, DataError
from tandem.plan import main
from tandem.plan.outcome import outcome_of
from tandem.plan.plan import Places
from tandem.plan.result_page import result_page, summary
from tandem.plan.training import Training, read_state
from tandem.runs.chosen import one_run, run_folders
from tandem.runs.ensemble_file import write_ensemble
from tandem.utils.artifacts import ENSEMBLE
from tandem.utils.resampling import wilson


class Clock:
    """Time that passes only where a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


class Simulated:
    """Folds that take made-up seconds, ended by the callback that ends real ones."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: list[float], beside: float) -> None:
        self.clock, self.epoch, self.beside, self.trained = Clock(), epoch, beside, list[int]()
        self.folder = tmp_path
        monkeypatch.setattr("tandem.plan.training.time", self.clock)
        monkeypatch.setattr("tandem.callbacks.deadline.time", self.clock)
        monkeypatch.setattr("tandem.python.config.compose", self.compose)
        monkeypatch.setattr("tandem.python.fit.fit", self.fit)
        monkeypatch.setattr("tandem.plan.training.tested", self.tested)

    def compose(self, words: list[str], out: Path) -> Any:
        typed = dict(word.lstrip("+").partition("=")[::2] for word in words)
        seconds = float(typed["callbacks.deadline"].rpartition("seconds: ")[2].rstrip("}"))
        folder = self.folder / typed.get("data.fold", "0")
        return SimpleNamespace(folder=folder, epochs=int(typed["trainer.max_epochs"]), seconds=seconds)

    def fit(self, config: Any) -> None:
        strategy = SimpleNamespace(reduce_boolean_decision=lambda late, all: late)
        trainer = SimpleNamespace(
            current_epoch=0, max_epochs=config.epochs, lr_scheduler_configs=[], strategy=strategy, should_stop=False
        )
        deadline, each = Deadline(config.seconds), self.epoch[len(self.trained) % len(self.epoch)]
        while trainer.current_epoch < config.epochs and not trainer.should_stop:
            deadline.on_train_epoch_start(trainer, None)  # type: ignore[arg-type]  # as far as it is looked at
            self.clock.now += each
            deadline.on_train_epoch_end(trainer, None)  # type: ignore[arg-type]
            trainer.current_epoch += 1
        self.clock.now += 0.3 * self.beside
        self.trained.append(trainer.current_epoch)
        config.folder.mkdir()
        (config.folder / "results.json").write_text(json.dumps({"epochs": trainer.current_epoch}))

    def tested(self, folder: Path) -> list[dict[str, str]]:
        self.clock.now += 0.7 * self.beside
        return []

    def run(self, folds: int, planned: int, budget: float, before: float, chosen: bool = True) -> float:
        """Seconds of everything; `before` are those of looking at the data and calibrating."""
        choice = {"epochs": {"values": {"trainer.max_epochs": planned if chosen else -1}}}
        state: dict[str, Any] = {"choices": choice, "training": {"folds": {}}}
        base = {"data": {"folds": folds}, "trainer": {"max_epochs": planned}}
        self.clock.now += before
        self.training = Training(Places(self.folder, "x"), state, [], base, budget, 0.0)
        for fold in range(folds):
            self.training.fold(fold)
        return self.clock.now


@pytest.mark.parametrize(
    ("folds", "planned", "budget", "epoch", "beside"),
    [
        (5, 20, 600, [3.0], 12),  # much faster than calibrated
        (5, 20, 600, [6.0], 12),
        (5, 20, 600, [9.0], 25),  # slower: the plan does not fit
        (3, 15, 600, [12.0, 5.0, 8.0], 10),  # a machine that others use
        (1, 40, 600, [4.0], 30),
        (1, 90, 3600, [22.0], 60),
        (5, 60, 28800, [30.0], 40),
        (3, 5, 600, [25.0], 30),
    ],
)
def test_a_budget_is_used_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folds: int, planned: int, budget: float, epoch: list[float],
    beside: float,
) -> None:  # fmt: skip
    simulated = Simulated(tmp_path, monkeypatch, epoch, beside)
    whole = simulated.run(folds, planned, budget, before=0.08 * budget)
    assert 0.85 * budget <= whole <= budget, simulated.trained
    assert simulated.training.why_early == ""
    assert len(simulated.trained) == folds


def test_a_run_that_cannot_use_its_time_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    simulated = Simulated(tmp_path, monkeypatch, [0.1], 5)
    assert simulated.run(3, 150, 600, before=30) < 300
    assert simulated.trained == [200, 200, 200]
    assert "each run has 200 epochs" in simulated.training.why_early
    assert simulated.training.cut == 0


def test_an_edited_number_of_epochs_is_not_exceeded_and_a_slow_machine_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulated = Simulated(tmp_path, monkeypatch, [1.0, 100.0], 5)
    simulated.run(2, 7, 600, before=30, chosen=False)
    assert simulated.trained == [7, 5]
    assert simulated.training.cut == 1
    simulated.training.fold(0)
    assert simulated.trained == [7, 5], "what is trained is not trained again"


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


def test_several_masks_and_findings_are_counted_as_a_loop_does_it() -> None:
    rng = np.random.default_rng(0)
    rows = []
    for number in range(60):
        true, drawn = rng.integers(0, 3, 2)
        hits = int(min(true, drawn))
        row = {"id": str(number), "semantic.organ.area_true": str(true), "semantic.organ.area_predicted": str(drawn),
               "semantic.organ.intersection": str(hits), "semantic.background.area_true": "9",
               "semantic.background.area_predicted": "9", "semantic.background.intersection": "9",
               "multilabel.sick.true": ("0", "1", "")[rng.integers(3)],
               "multilabel.sick.predicted": "01"[rng.integers(2)],
               "multilabel.none.true": "0", "multilabel.none.predicted": "0"}  # fmt: skip
        rows.append(row)
    found = outcome_of([rows[:30], rows[30:]], background=["background"])
    dice = [
        2 * int(row["semantic.organ.intersection"])
        / (int(row["semantic.organ.area_true"]) + int(row["semantic.organ.area_predicted"]))
        for row in rows if row["semantic.organ.area_true"] != "0"
    ]  # fmt: skip
    assert list(found.masks) == ["organ"]
    count, (value, low, high) = found.masks["organ"]
    assert count == len(dice)
    assert value == pytest.approx(sum(dice) / len(dice))
    assert low < value < high
    for answer, place in (("1", 1), ("0", 2)):
        own = [row["multilabel.sick.predicted"] == answer for row in rows if row["multilabel.sick.true"] == answer]
        share = sum(own) / len(own)
        interval = found.findings["sick"][place]
        assert interval == pytest.approx((share, *wilson(share, len(own), 0.95)))
    assert found.findings["none"][:2] == (0, None)
    said = summary(found)
    assert "organ is the hardest" in said
    assert "of 1 findings, sick is missed most" in said
    assert (found.dice, found.balanced) == (None, None)


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
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(DataError, match="is no plan"):
        read_state(Places(tmp_path, "x"))


@pytest.mark.full
@pytest.mark.parametrize(
    ("kind", "said"), [("classes", "of 2 masks, "), ("channels", "of 2 masks, "), ("findings", "of 3 findings, ")]
)
def test_several_masks_and_findings_from_data_to_a_page(
    in_process: Callable[..., Any], trees: Any, tmp_path: Path, kind: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.plan.test_command import several

    from tandem import predict

    monkeypatch.setattr("tandem.plan.rules.epochs.MOST", 1)
    monkeypatch.setattr("tandem.plan.schedule.MOST", 1)
    words = (*several(trees, tmp_path, kind), "name=mine", "data.folds=2", "data.fold=0", "run=true")
    done = in_process(main)(*words)
    assert done.code == 0, done.err
    assert said in done.out.lower()
    page = (tmp_path / "plans" / "mine_result.html").read_text()
    assert ("<h2>Findings</h2>" if kind == "findings" else "<h2>Masks</h2>") in page
    found = in_process(predict.main)("run=plans/mine.zip", "images=set/images", "out=predicted")
    assert found.code == 0, found.err


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

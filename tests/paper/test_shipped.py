"""Shipped papers: each row has its runs, budgets keep the protocol, and a small run goes through the table."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.data.samples import SPLITS
from tandem.paper.command import reproduce
from tandem.paper.jobs import filled, find_jobs, study_words
from tandem.paper.outcome import jobs_of, read_outcome, row_cells
from tandem.paper.plan import Paper, RowTable
from tandem.paper.reading import read_paper
from tandem.paper.settings import read_settings

DATA = {"root": "/nowhere", "subset": "/nowhere.csv", "file": "/nowhere.npz", "weights": "/nowhere.safetensors"}


def node_of(name: str, *overrides: str) -> dict[str, Any]:
    """The command's configuration with a paper of `conf/paper`."""
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        found: dict[str, Any] = resolve(compose("reproduce", [f"paper={name}", *overrides]))
    return found


def paper_of(name: str) -> Paper:
    return read_paper(node_of(name)["paper"])


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "runs"), [("pneumoniamnist", {"main": 3}), ("curated_busi_repeated", {"main": 20, "leaks": 12})]
)
def test_every_row_has_its_runs(name: str, runs: dict[str, int]) -> None:
    paper = paper_of(name)
    jobs = find_jobs(paper, "cpu", DATA)
    assert list(paper.tables) == list(runs)
    for key, table in paper.tables.items():
        assert isinstance(table, RowTable)
        found = {row: len(own) for row, own in jobs_of(table, key, jobs).items()}
        assert found == dict.fromkeys(table.rows, runs[key])


@pytest.mark.parametrize("study", ["by_image", "whole_by_image", "whole_by_group"])
def test_each_seed_of_the_repeated_folds_draws_its_own(study: str) -> None:
    paper = paper_of("curated_busi_repeated")
    words = [word for word in one_of_each(study_words(paper, study, "cpu")) if not word.startswith("seed=")]
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = resolve(compose("train", [*filled(words, DATA), "seed=3"]))
    assert (config["seed"], config["data"]["split_seed"], config["data"]["folds"]) == (3, 3, 4)
    assert config["data"]["groups"] == (None if study == "whole_by_group" else "none")
    assert config["data"]["subset"] == (DATA["subset"] if study == "by_image" else None)


@pytest.mark.parametrize(
    ("study", "budget"),
    [("cross_entropy", "full"), ("yes_no", "full"), ("focal", "cpu"), ("yes_no", "cpu")],
)
def test_pneumoniamnist_keeps_the_protocol(study: str, budget: str) -> None:
    words = one_of_each(study_words(paper_of("pneumoniamnist"), study, budget))
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = resolve(compose("train", filled(words, DATA)))
    epochs = config["trainer"]["max_epochs"]
    assert config["scheduler"]["milestones"] == [epochs // 2, epochs * 3 // 4]
    assert config["scheduler"]["gamma"] == 0.1
    assert (config["optimizer"]["_target_"], config["optimizer"]["lr"]) == ("torch.optim.Adam", 1e-3)
    assert (config["optimizer"]["weight_decay"], config["loader"]["batch_size"], config["data"]["size"]) == (0, 128, 28)
    assert config["monitor"].endswith("/auroc")
    assert not config["augment"]
    if budget == "full":
        assert (epochs, config["network"]["backbone"]) == (100, "small_resnet18")


@pytest.mark.full
def test_small_repeated_folds_go_through_the_table(
    busi_tree: Callable[[int], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))
    node = node_of("curated_busi_repeated", f"data.root={busi_tree(10)}")
    paper = node["paper"]
    small = ["data.subset=null", "data.size=32", "data.fold=0,1", "seed=2", "trainer.max_epochs=1"]
    paper["studies"] = {"by_image": [*paper["studies"]["by_image"], *small]}
    paper["studies"]["by_image"].remove("data.subset=%data.subset%")
    paper["budgets"]["cpu"]["overrides"] = []
    del paper["tables"]["leaks"]
    done = reproduce(read_settings({**node, "runs": str(tmp_path / "runs"), "archive": True}))
    assert done.good
    jobs = find_jobs(read_paper(paper), "cpu", node["data"])
    cells = row_cells(read_paper(paper), "main", read_outcome(jobs, tmp_path / "runs"))
    assert [len(cell.runs) for cell in cells.values()] == [2] * 5
    for run in cells["plain"].runs.values():
        assert run.config["data"]["split_seed"] == 2
        where = {path.parent.name for path in run.folder.glob("evaluation/*/images.csv")}
        assert where == {"test", "val", "test-flips", "val-flips"}
    notes = (done.out / "tables" / "main.md").read_text()
    assert "chosen on validation data, empties the mask" in notes
    assert "three mirrored copies: one network, mirrored copies; one network, mirrored copies, PR by" in notes
    again = reproduce(read_settings(node_of("quick") | {"paper": None, "archive": str(done.files[-1])}))
    assert again.good
    assert again.changed == [], "the archive holds what the refinements read"


def few_rows(file: Path, source: Path | None) -> Path:
    """A file with few rows of each split and class: of the real file, or noise whose level is the class."""
    arrays: dict[str, Any] = {}
    real: Mapping[str, Any] = np.load(source) if source else {}
    for number, split in enumerate(SPLITS):
        labels = np.arange(24)[:, None] % 2
        images = np.random.default_rng(number).integers(0, 120, (24, 28, 28)) + 90 * labels[:, :, None]
        if source:
            rows = np.concatenate([np.flatnonzero(real[f"{split}_labels"][:, 0] == label)[:12] for label in (0, 1)])
            images, labels = real[f"{split}_images"][rows], real[f"{split}_labels"][rows]
        arrays |= {f"{split}_images": images.astype(np.uint8), f"{split}_labels": labels.astype(np.uint8)}
    np.savez(file, **arrays)
    return file


@pytest.mark.full
@pytest.mark.parametrize("real", [False, True])
def test_a_small_run_of_each_kind_goes_through_the_table(real: bool, shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "pneumoniamnist_rebuilt.npz"
    if real and not source.is_file():
        pytest.skip(f"{source.name} is absent; set TANDEM_DATA")
    node = node_of("pneumoniamnist", f"data.file={few_rows(tmp_path / 'few.npz', source if real else None)}")
    paper = node["paper"]
    paper["studies"] = {key: one_of_each(paper["studies"][key]) for key in ("cross_entropy", "yes_no")}
    paper["budgets"]["cpu"]["overrides"] += ["trainer.max_epochs=2", "scheduler.milestones=[1]", "loader.batch_size=8"]
    table = paper["tables"]["main"]
    table["rows"] = {key: table["rows"][key] for key in ("protocol", "yes_no")}
    done = reproduce(read_settings({**node, "runs": str(tmp_path / "runs")}))
    assert done.good
    whole = read_paper(paper)
    jobs = find_jobs(whole, "cpu", node["data"])
    for key, cell in row_cells(whole, "main", read_outcome(jobs, tmp_path / "runs")).items():
        (run,) = cell.runs.values()
        values = {name.split("/")[1]: value for name, value in run.metrics.items()}
        assert all(0 <= value <= 1 for value in values.values() if value is not None), key
        logged = {name.rpartition("/")[2]: value for name, value in run.results["metrics"].items() if "test/" in name}
        assert values["auroc"] == pytest.approx(logged["auroc"], abs=1e-6)
        if key == "protocol":
            assert values["accuracy"] == values["accuracy_chosen"] == pytest.approx(logged["accuracy"], abs=1e-6)
            assert values["calibration"] == pytest.approx(logged["calibration_error"], abs=1e-5)
        assert values["calibration_tempered"] is not None
        assert not math.isnan(values["calibration_tempered"])
    text = (done.out / "tables" / "main.md").read_text()
    assert "| published |  | 0.944" in text
    assert "checksum in the manifest" in text


def one_of_each(words: list[str]) -> list[str]:
    """The first value of each option that is swept."""
    return [word if "[" in word else word.partition(",")[0] for word in words]

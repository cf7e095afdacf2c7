"""The stand-in for DermaMNIST: its shape, that it can be learnt from, and that nobody takes it for the real set."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import balanced_accuracy_score

from tandem.config.identity import run_hash
from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.data.checks import check_splits
from tandem.data.dermamnist import COUNTS, DermaMNIST, draw
from tandem.data.medmnist import MedMNIST, info_table
from tandem.data.samples import SPLITS
from tandem.errors import ConfigError, DataError
from tandem.train.run import train


def composed(*overrides: str, primary: str = "train", **options: Any) -> DictConfig:
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return compose(primary, list(overrides), **options)


def test_it_has_the_classes_counts_and_shape_of_the_real_set(caplog: pytest.LogCaptureFixture) -> None:
    source = DermaMNIST(stand_in=True)
    splits = source.load()
    check_splits(source.name, splits, source.classes, source.targets)
    official = info_table()["dermamnist"]
    assert source.classes == tuple(official["label"].values())
    for split in SPLITS:
        assert len(splits[split]) == official["n_samples"][split]
        assert torch.bincount(splits[split].labels).tolist() == list(COUNTS[split])
        assert splits[split].images.shape[1:] == (3, 28, 28)
    assert source.name == "dermamnist-stand-in"
    assert "STAND-IN" in caplog.text
    assert source.files_fingerprint is None


def test_an_image_depends_on_its_own_number_alone() -> None:
    labels = np.arange(14) % 7
    whole = draw(3, "val", labels, 28)
    np.testing.assert_array_equal(draw(3, "val", labels[:5], 28), whole[:5])
    np.testing.assert_array_equal(draw(3, "val", labels, 28), whole)
    assert len(np.unique(whole.reshape(14, -1), axis=0)) == 14
    for other in (draw(4, "val", labels, 28), draw(3, "test", labels, 28)):
        assert not np.array_equal(other, whole)
    assert draw(3, "val", labels[:2], 64).shape == (2, 64, 64, 3)


def test_it_can_be_learnt_and_is_not_too_easy() -> None:
    """By a linear rule on pooled pixels: above chance (1 / 7), far from perfect."""
    splits = DermaMNIST(stand_in=True, share=0.3).load()

    def features(split: str) -> np.ndarray[Any, Any]:
        return torch.nn.functional.avg_pool2d(splits[split].images.float(), 4).flatten(1).numpy()

    rule = LinearDiscriminantAnalysis(priors=np.full(7, 1 / 7)).fit(features("train"), splits["train"].labels)
    score = balanced_accuracy_score(splits["test"].labels, rule.predict(features("test")))
    assert 0.3 < score < 0.85


def test_a_share_keeps_the_proportions_and_two_of_each_class() -> None:
    splits = DermaMNIST(stand_in=True, share=0.1).load()
    assert torch.bincount(splits["train"].labels).tolist() == [23, 36, 77, 8, 78, 469, 10]
    assert torch.bincount(splits["val"].labels).tolist() == [3, 5, 11, 2, 11, 67, 2]


@pytest.mark.parametrize(("wrong", "key"), [({"share": 0}, "share"), ({"share": 1.5}, "share"), ({"seed": -1}, "seed")])
def test_settings_out_of_range_are_refused(wrong: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=rf"^data\.{key} is"):
        DermaMNIST(stand_in=True, **wrong)


def test_the_real_file_is_what_medmnist_reads(trees: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = str(trees.medmnist(tmp_path / "dermamnist.npz", channels=3, classes=7))
    real = DermaMNIST(stand_in=False, file=path, verify=False)
    assert real.name == "dermamnist"
    expected = MedMNIST("dermamnist", file=path, verify=False).load()
    assert all(part.fingerprint() == expected[split].fingerprint() for split, part in real.load().items())
    assert "STAND-IN" not in caplog.text


def test_which_of_the_two_is_part_of_a_run_s_identity(trees: Any, tmp_path: Path) -> None:
    """So that a run on the stand-in does not answer once the file is there."""
    said = ("experiment=dermamnist_scratch", f"data.root={tmp_path}")
    before = resolve(composed(*said))
    trees.medmnist(tmp_path / "dermamnist.npz", channels=3, classes=7)
    after = resolve(composed(*said))
    assert (before["data"]["stand_in"], after["data"]["stand_in"]) == (True, False)
    assert run_hash(before) != run_hash(after)
    assert resolve(composed(*said, "data.size=64"))["data"]["stand_in"] is True
    assert resolve(composed(*said, "data.size=64", "data.download=true"))["data"]["stand_in"] is False


def test_a_file_that_was_typed_wrong_is_no_reason_for_a_stand_in(tmp_path: Path) -> None:
    config = resolve(composed("experiment=dermamnist_scratch", f"data.file={tmp_path / 'typo.npz'}"))
    assert config["data"]["stand_in"] is False
    with pytest.raises(DataError, match=r"data\.file=.*typo\.npz' is not a file"):
        DermaMNIST(**{key: value for key, value in config["data"].items() if key != "_target_"}).load()


def test_log_results_and_report_say_what_was_trained_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    config = composed(
        "experiment=dermamnist_transfer", "network.pretrained=false", "network.freeze=encoder", "data.share=0.01",
        f"data.root={tmp_path}", "network.backbone=small_cnn", "trainer.max_epochs=1", "trainer.accelerator=cpu",
        "trainer.enable_progress_bar=false", "logger=none", "callbacks.panels=null",
    )  # fmt: skip
    results = train(resolve(config), tmp_path / "run")
    assert results["data"]["name"] == "dermamnist-stand-in"
    assert "dermamnist-stand-in" in (tmp_path / "run" / "report.html").read_text()
    assert "data dermamnist-stand-in, train:" in caplog.text
    assert "network.freeze=encoder freezes random weights" in caplog.text
    for metric in ("f1_macro", "recall/melanoma", "specificity/melanoma"):
        assert 0 <= results["metrics"][f"test/classification/{metric}"] <= 1


def test_the_study_trains_both_with_and_without_class_weights() -> None:
    config = composed("study=dermamnist", "data.share=0.01", return_hydra_config=True)
    assert str(config.hydra.mode) == "RunMode.MULTIRUN"
    assert dict(config.hydra.sweeper.params) == {
        "experiment": "dermamnist_scratch,dermamnist_transfer",
        "tasks.classification.loss.weight": "null,balanced",
    }
    jobs = [
        composed("study=dermamnist", f"experiment={name}", f"tasks.classification.loss.weight={weight}")
        for name in ("dermamnist_scratch", "dermamnist_transfer")
        for weight in ("null", "balanced")
    ]
    said = [(job.name, job.network.pretrained, job.tasks.classification.loss.weight) for job in jobs]
    assert said == [("dermamnist", pretrained, weight) for pretrained in (False, True) for weight in (None, "balanced")]

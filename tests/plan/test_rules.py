"""Every rule on a table of fingerprints, and how rules are found."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tandem.plan import rules
from tandem.plan.choice import Choice
from tandem.plan.fingerprint import Fingerprint
from tandem.plan.machine import Machine
from tandem.plan.rules import all_rules, decide

USUAL = Fingerprint(
    name="usual",
    images=780,
    splits={"train": 546, "val": 117, "test": 117},
    classes={"benign": 437, "malignant": 210, "normal": 133},
    filled=647,
    empty=133,
    units=700,
    units_of={"benign": 400, "malignant": 200, "normal": 100},
    units_filled=600,
    areas=(0.01, 0.08, 0.3),
    widths=(0.05, 0.2),
    side=256,
    aspect=1.2,
    size=128,
    coloured=0.0,
    upright=2.0,
    mask_channels=("lesion",),
    options=frozenset({"size", "folds", "fold", "channels", "root"}),
    files=True,
    machine=Machine(cores=2, memory=8e9),
    budget=1800.0,
    speed=3.0,
)

FREE = {"budget": 1e6}
FINDINGS = {"units_of": {}, "classes": {}, "findings": {"a": (60, 500), "b": (40, 500), "c": (5, 400)}}
CLASSES = {"mask_channels": (), "mask_classes": ("background", "organ", "lesion")}
SOME = {"images": 60, "splits": {"train": 42, "val": 9, "test": 9}}

TABLE: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("tasks", {}, {"task": ["classification", "segmentation"]}),
    ("tasks", {"units_filled": 5}, {"task": ["classification"]}),
    ("tasks", {"units_of": {"a": 99, "b": 5}}, {"task": ["segmentation"]}),
    ("tasks", {"units_of": {"a": 99, "b": 6}}, {"task": ["classification", "segmentation"]}),
    ("tasks", {"mask_channels": (), "mask_classes": ("b", "x")}, {"task": ["classification", "semantic"]}),
    ("tasks", FINDINGS | {"mask_channels": ()}, {"task": ["multilabel"]}),
    ("tasks", FINDINGS, {"task": ["segmentation", "multilabel"]}),
    ("tasks", {"findings": {"a": (6, 50)}}, {"task": ["classification", "segmentation", "multilabel"]}),
    ("tasks", {"findings": {"a": (5, 50), "b": (50, 5)}}, {"task": ["classification", "segmentation"]}),
    ("image_size", FREE, {"data.size": 128}),
    ("image_size", FREE | {"widths": (0.025, 0.2)}, {"data.size": 160}),
    ("image_size", FREE | {"widths": (0.004, 0.2)}, {"data.size": 256}),
    ("image_size", FREE | {"widths": (math.nan, math.nan)}, {"data.size": 128}),
    ("image_size", FREE | {"side": 28}, {"data.size": 32}),
    ("image_size", {"budget": 120.0}, {"data.size": 64}),
    ("image_size", FREE | {"given": {"data.size": 64}}, {}),
    ("image_size", FREE | {"files": False}, {}),
    ("fit", {}, {}),
    ("fit", {"aspect": 2.0}, {}),
    ("fit", {"aspect": 2.0, "options": frozenset({"fit"})}, {"data.fit": "pad"}),
    ("fit", {"aspect": 1.49, "options": frozenset({"fit"})}, {}),
    ("fit", {"aspect": 2.0, "options": frozenset({"fit"}), "given": {"data.fit": "crop"}}, {}),
    ("channels", {}, {}),
    ("channels", {"coloured": 0.51}, {"data.channels": 3}),
    ("channels", {"coloured": math.nan}, {}),
    ("network", FREE, {"network": "unet", "network.backbone": "small_cnn"}),
    (
        "network",
        {"machine": Machine(gpu="x", gpu_memory=8e9), "splits": {"train": 5000}, "speed": 0.01},
        {"network": "unet", "network.backbone": "resnet18"},
    ),
    ("batch", SOME, {"loader.batch_size": 8}),
    ("batch", {}, {"loader.batch_size": 32}),
    ("batch", {"splits": {"train": 300}}, {"loader.batch_size": 16}),
    ("folds", FREE, {"data.folds": 5, "data.fold": 0}),
    ("folds", {}, {}),
    ("folds", FREE | FINDINGS | {"mask_channels": ()}, {"data.folds": 5, "data.fold": 0}),
    ("folds", FREE | {"findings": {"a": (1400, 1400)}, "classes": {}, "units_of": {}, "mask_channels": ()}, {}),
    ("folds", FREE | CLASSES, {"data.folds": 5, "data.fold": 0}),
    ("folds", FREE | {"published": True}, {}),
    ("folds", FREE | {"options": frozenset({"size"})}, {}),
    ("folds", FREE | {"given": {"data.folds": 4}}, {}),
    ("folds", FREE | {"units_of": dict.fromkeys("ab", 1400), "units_filled": 1400}, {}),
    ("epochs", FREE, {"trainer.max_epochs": 73}),
    ("epochs", FREE | SOME, {"trainer.max_epochs": 200}),
    ("epochs", FREE | {"splits": {"train": 50_000}, "budget": 1e9}, {"trainer.max_epochs": 40}),
    ("epochs", {"speed": 1e6}, {"trainer.max_epochs": 1}),
    ("optimizer", FREE, {"optimizer": "adamw", "scheduler": "cosine", "callbacks": "ema", "optimizer.lr": 1e-3}),
    ("optimizer", {"speed": 1e6}, {"optimizer": "adamw", "scheduler": "cosine", "optimizer.lr": 1e-3}),
    ("class_balance", {"classes": {"a": 10, "b": 19}}, {}),
    ("class_balance", {"classes": {"a": 10, "b": 20}}, {"tasks.classification.loss.weight": "balanced"}),
    ("class_balance", {"classes": {"a": 10, "b": 100}}, {"loader.sampling": "balanced"}),
    ("class_balance", {"classes": {"a": 10, "b": 100}, "units_of": {}}, {}),
    ("mask_loss", {}, {"loss/binary@tasks.segmentation.loss": "dice_bce"}),
    (
        "mask_loss",
        {"areas": (0.001, 0.009, 0.1)},
        {"loss/binary@tasks.segmentation.loss": "dice_focal", "tasks.segmentation.prior_bias": True},
    ),
    ("mask_loss", {"units_filled": 0}, {}),
    ("mask_loss", CLASSES, {"loss/multiclass@tasks.semantic.loss": "dice_ce"}),
    ("mask_loss", CLASSES | {"areas": (0.001, 0.009, 0.1)}, {"loss/multiclass@tasks.semantic.loss": "dice_focal"}),
    ("findings_loss", {}, {}),
    ("findings_loss", {"findings": {"a": (50, 400), "b": (5, 400)}}, {}),
    ("findings_loss", {"findings": {"a": (50, 500)}}, {"loss/binary@tasks.multilabel.loss": "asymmetric"}),
    ("augment", {}, {"augment": "medical"}),
    ("augment", {"splits": {"train": 6000}}, {"augment": "light"}),
    ("augment", {"upright": math.nan}, {"augment": "medical"}),
    ("augment", {"upright": 0.1, "coloured": 1.0}, {"augment": "strong"}),
    ("augment", {"upright": -0.1}, {"augment": "medical", "augment.vertical_flip": 0.5, "augment.rotate": 180.0}),
    ("balance", {}, {"balance": "fixed", "balance.weights.classification": 0.5}),
    ("balance", {"units_of": {}}, {}),
    ("balance", CLASSES, {"balance": "fixed", "balance.weights.classification": 0.5}),
    ("balance", FINDINGS, {"balance": "fixed", "balance.weights.multilabel": 0.5}),
    ("balance", {"findings": {"a": (50, 500)}, "mask_channels": ()}, {"balance": "fixed"}),
    ("threshold", {}, {}),
    ("threshold", CLASSES, {}),
    ("threshold", FINDINGS | {"mask_channels": ()}, {}),
    (
        "threshold",
        {"units_filled": 100},
        {"callbacks.threshold_sweep.low": 0.5, "callbacks.threshold_sweep.high": 0.5},
    ),
    ("monitor", {}, {}),
    ("monitor", {"units_filled": 40}, {"monitor": "val/loss", "mode": "min"}),
    ("monitor", CLASSES, {}),
    ("monitor", CLASSES | {"units_filled": 40}, {"monitor": "val/loss", "mode": "min"}),
    ("monitor", {"units_filled": 0, "units_of": {"a": 70, "b": 400}}, {"monitor": "val/loss", "mode": "min"}),
    ("regularise", {}, {"tasks.classification.dropout": 0.3, "tasks.classification.loss.label_smoothing": 0.1}),
    ("regularise", {"classes": {"a": 1000, "b": 1000}}, {}),
    ("regularise", FINDINGS, {"tasks.multilabel.dropout": 0.3}),
]


@pytest.mark.parametrize(("name", "changes", "expected"), TABLE)
def test_each_rule_chooses_as_its_table_says(name: str, changes: dict[str, Any], expected: dict[str, Any]) -> None:
    choice = all_rules()[name].choose(replace(USUAL, **changes))
    assert {**choice.groups, **choice.values} == expected
    assert choice.reason
    assert choice.fired == bool(expected)


def test_every_rule_has_a_table() -> None:
    assert set(all_rules()) == {name for name, *_ in TABLE}


def test_every_rule_names_its_source_and_range() -> None:
    for rule in all_rules().values():
        assert rule.question
        assert rule.source
        assert rule.range


def test_thin_lesions_need_more_pixels_and_a_small_budget_says_so() -> None:
    choice = all_rules()["image_size"].choose(replace(USUAL, widths=(0.02, 0.1), budget=1800.0, speed=10.0))
    assert "200 would" not in choice.reason
    assert "224 would be better, but the budget allows no more" in choice.reason


def test_little_memory_makes_small_batches_that_are_accumulated() -> None:
    poor = replace(USUAL, budget=1e6, machine=Machine(memory=1.6e8))
    choice = all_rules()["batch"].choose(poor)
    assert choice.values == {"loader.batch_size": 4, "trainer.accumulate_grad_batches": 2}


def test_pretrained_weights_are_used_only_if_a_file_is_there() -> None:
    choice = all_rules()["network"].choose(replace(USUAL, machine=Machine(weights="resnet18.a1.safetensors")))
    assert choice.values["network.backbone"] == "resnet18"
    assert choice.values["network.weights"] == "${oc.env:TANDEM_WEIGHTS,null}"
    assert "network.weights" not in all_rules()["network"].choose(USUAL).values


def test_shallow_networks_for_small_images() -> None:
    choice = all_rules()["network"].choose(replace(USUAL, side=32, budget=1e6))
    assert choice.values["network.depth"] == 3
    assert choice.values["network.decoder_options.decoder_channels"] == [32, 24, 16]


def test_a_rule_is_a_pure_function() -> None:
    assert [one.choice for one in decide(USUAL)] == [one.choice for one in decide(replace(USUAL))]


def test_a_new_rule_is_one_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "penalty_of_tests.py").write_text(
        "from tandem.plan.choice import Choice, Rule\n"
        "RULE = Rule('penalty', 5, 'a test', 'none', lambda found: Choice('why', {'seed': found.images}))\n"
    )
    monkeypatch.setattr(rules, "__path__", [*rules.__path__, str(tmp_path)])
    first, *_ = decide(USUAL)
    assert (first.name, first.choice) == ("penalty_of_tests", Choice("why", {"seed": 780}))

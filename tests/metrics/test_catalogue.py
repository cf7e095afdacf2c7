"""What a logged name stands for: by its metric alone, and in agreement with the metrics' own classes."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from omegaconf import OmegaConf

from tandem.config.instantiate import build
from tandem.config.shipped import config_folder
from tandem.metrics.catalogue import CATALOGUE, EMPTY, LAST, LESION, Quantity, describe, metric_of
from tandem.paper.measures import MEASURES

METRICS = sorted((config_folder() / "metrics").glob("*.yaml"))


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("test/segmentation/dice", "max"), ("test/segmentation/dice_at_0.5", "max"), ("val/age/mae", "min"),
        ("val/segmentation/hd95", "min"), ("val/loss", "min"), ("test/segmentation/loss/dice", "min"),
        ("test/segmentation/loss/dice/unweighted", "min"), ("train/segmentation/step_loss", "min"),
        ("test/segmentation/threshold", None), ("test/segmentation/area_bias", None), ("test/age/bias", None),
        ("train/segmentation/weight", None), ("train/segmentation/weight/dice", None),
        ("train/segmentation/adversarial/d_accuracy", None), ("train/penalty/l2", "min"),
        ("test/classification/recall/benign", "max"), ("test/findings/tumour/dice", "max"),
        ("val/age/nll", None), ("val/age/asd/left", None), ("val/age", None),
    ],
)  # fmt: skip
def test_direction_of_a_logged_name(name: str, direction: str | None) -> None:
    assert describe(name).direction == direction


@pytest.mark.parametrize("owner", ["mae", "threshold", "loss_of", "brier", "penalty", "recall"])
def test_names_of_tasks_classes_and_channels_say_nothing_of_the_metric(owner: str) -> None:
    assert metric_of(f"test/{owner}/dice") == "dice"
    assert metric_of(f"test/{owner}/loss") == "loss"
    assert metric_of(f"test/birads/recall/{owner}") == "recall"
    assert metric_of(f"val/birads/f1/{owner}") == "f1"
    if owner != "recall":
        assert metric_of(f"test/findings/{owner}/dice") == "dice"
    assert describe(f"val/{owner}/nll").sign == 0


def test_what_the_run_tells_comes_before_the_catalogue() -> None:
    told = {"age/nll": Quantity("log loss", "min"), "age/mae": Quantity("years", "max")}
    assert describe("test/age/nll", told) == Quantity("log loss", "min")
    assert describe("val/age/mae", told).label == "years"
    assert describe("val/age/rmse", told).direction == "min"


def test_values_of_a_class_keep_their_logged_name_and_come_last() -> None:
    whole, part = describe("val/lesion/dice_lesion"), describe("val/lesion/left/dice_lesion")
    assert (whole.label, part.label) == ("Dice per image", "left/dice_lesion")
    assert whole.order < part.order == LAST
    assert whole.group == part.group == LESION
    assert describe("val/lesion/specificity_empty").group == EMPTY
    assert describe("val/classification/recall/benign").label == "recall/benign"


@pytest.mark.parametrize(
    ("value", "format", "text"),
    [(0.12345, ".3f", "0.123"), (float("nan"), ".3f", "-"), (None, ".1f", "-"), (9.96, ".1f", "10.0")],
)
def test_a_value_is_printed_in_the_format_of_its_quantity(value: float | None, format: str, text: str) -> None:
    assert Quantity("x", format=format).text(value) == text
    assert Quantity("x", format=format).digits == int(format[1])


def nodes() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every metric of every option."""
    for path in METRICS:
        read: Any = OmegaConf.to_container(OmegaConf.load(path))
        yield from ((f"{path.stem}/{name}", node) for name, node in (read or {}).items() if name != "defaults")


@pytest.mark.parametrize(("place", "node"), list(nodes()), ids=[place for place, _ in nodes()])
def test_every_metric_of_every_option_has_a_direction_that_its_class_agrees_with(
    place: str, node: dict[str, Any]
) -> None:
    classes = any(word in node["_target_"] for word in (".Multiclass", ".Class", ".BrierScore", ".Matthews"))
    try:
        own = build(node, "tasks.one.metrics.mine")(**({"num_classes": 3} if classes else {})).higher_is_better
    except ImportError:
        pytest.skip("an extra is missing")
    known = CATALOGUE.get(place.rpartition("/")[2])
    assert known is not None or own is not None
    if known is not None and own is not None:
        assert known.direction == ("max" if own else "min")
    if own is None:
        assert place == "segmentation/area_bias", "signed: 0 is best"


def test_every_measure_of_a_paper_is_in_the_catalogue() -> None:
    assert set(MEASURES) <= set(CATALOGUE)
    assert all(CATALOGUE[name].direction in ("max", "min") for name in MEASURES), "a table says which mean is best"


def test_studies_papers_and_pages_need_neither_torch_nor_the_metrics_classes() -> None:
    modules = "tandem.metrics.stored, tandem.metrics.declared, tandem.study.report.page, tandem.paper.tables"
    heavy = "{'torch', 'torchmetrics', 'pytorch_lightning'} & set(sys.modules)"
    code = f"import sys; import {modules}, tandem.reports.run_report; sys.exit(str({heavy}) if {heavy} else 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

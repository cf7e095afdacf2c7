"""A decision is data: it is read back as it was written, and anything else is refused."""

import json
import math
from typing import Any

import pytest
import torch

from tandem.decisions.decision import NEUTRAL, Decision, as_plain, read_decision
from tandem.decisions.stages import PROCESSED, RANKDICE, THRESHOLD, decided, stages
from tandem.decisions.steps import Step
from tandem.errors import DataError

FULL = Decision(
    "rankdice",
    1.5,
    (0.4, 0.6),
    "sensitivity:0.95",
    ((Step("holes"), Step("smallest", 0.01)), (Step("largest"),)),
    (0.1, 0.0),
    24,
)


@pytest.mark.parametrize(
    "decision", [NEUTRAL, FULL, Decision(temperature=2.0, images=3), Decision(steps=((), ()), gains=(0.0, 0.0))]
)
def test_it_is_read_as_it_was_written(decision: Decision) -> None:
    assert read_decision(json.loads(json.dumps(as_plain(decision))), 2, "f") == decision


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rule", "exec"), ("rule", ["rankdice"]), ("rule", {}), ("temperature", 0), ("temperature", -1.0),
        ("temperature", math.nan), ("temperature", math.inf), ("temperature", True), ("temperature", "1"),
        ("temperature", 1e9), ("temperature", None), ("thresholds", [0.4]), ("thresholds", [0.4, 1.0]),
        ("thresholds", [0.4, math.nan]), ("thresholds", "ab"), ("thresholds", 0.4), ("thresholds", [[0.4], [0.5]]),
        ("wanted", "<script>"), ("wanted", 3), ("wanted", "__import__('os'):0.5"), ("steps", [[]]), ("steps", "ab"),
        ("steps", [[{"name": "largest"}], []]), ("steps", [[{"name": "eval", "share": 0.0}], []]),
        ("steps", [[{"name": "smallest", "share": 1.0}], []]), ("steps", [[{"name": ["largest"], "share": 0.0}], []]),
        ("steps", [[{"name": "smallest", "share": 0.1, "_target_": "os.system"}], []]), ("steps", [[5], []]),
        ("gains", [1.0]), ("gains", ["a", "b"]), ("images", -1), ("images", 1.5), ("images", True), ("images", "4"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_in_one_line(key: str, value: Any) -> None:
    with pytest.raises(DataError, match="holds a decision whose") as refused:
        read_decision({**as_plain(FULL), key: value}, 2, "best.ckpt")
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize(
    "value", [None, 3, [], "rankdice", {}, {**as_plain(NEUTRAL), "code": "x"}, {"rule": "rankdice"}]
)
def test_what_is_no_decision_is_refused(value: Any) -> None:
    with pytest.raises(DataError, match="entries are not"):
        read_decision(value, 2, "best.ckpt")


def test_an_answer_about_whole_images_has_no_mask_to_change() -> None:
    for changed in ({"rule": "rankdice"}, {"steps": as_plain(FULL)["steps"]}):
        with pytest.raises(DataError):
            read_decision({**as_plain(NEUTRAL), **changed}, 2, "f", dense=False)


def test_stages_follow_each_other() -> None:
    p = torch.zeros(1, 2, 8, 8)
    p[:, :, 1:4, 1:4], p[:, 0, 6, 6] = 0.9, 0.7
    threshold = torch.tensor([0.5, 0.5])
    found = stages(p, threshold, Decision(steps=((Step("largest"),), ())))
    assert list(found) == [THRESHOLD, PROCESSED]
    assert found[THRESHOLD].sum((0, 2, 3)).tolist() == [10, 9]
    assert found[PROCESSED].sum((0, 2, 3)).tolist() == [9, 9]
    assert torch.equal(decided(p, threshold, NEUTRAL), p >= 0.5)


def test_rankdice_is_a_stage_of_its_own() -> None:
    pytest.importorskip("rankseg", reason="the extra rankdice is not installed")
    p = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert list(stages(p, torch.tensor([0.5]), Decision("rankdice", steps=((),)))) == [THRESHOLD, RANKDICE, PROCESSED]


def test_it_says_itself_in_words() -> None:
    assert str(NEUTRAL) == "threshold"
    assert str(FULL) == (
        "rankdice, threshold for sensitivity:0.95, temperature 1.5, holes filled, then components below "
        "1.00% of the image removed, only the largest component; fitted on 24 validation images"
    )

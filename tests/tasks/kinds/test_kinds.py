"""What each kind decides and counts, against loops and other libraries; an unknown kind does nothing of it."""

import itertools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from sklearn.metrics import confusion_matrix

from tandem.evaluate.evaluators import Classes as ClassEvaluator
from tandem.evaluate.evaluators import ClassMasks, Evaluator, RawValues, evaluator_of
from tandem.tasks.kinds import (
    ClassLabel,
    ClassMask,
    Embedding,
    Kind,
    Mask,
    Number,
    Question,
    Raw,
    RawMap,
    YesNo,
    kind_of,
)

EXPECTED: dict[tuple[str, bool], tuple[type[Kind], bool, bool, bool, bool]] = {
    # name, dense: class, thresholds, exclusive, watched, countable
    ("binary", False): (YesNo, True, False, True, True),
    ("binary", True): (Mask, True, False, True, True),
    ("multiclass", False): (ClassLabel, False, True, True, True),
    ("multiclass", True): (ClassMask, False, True, True, True),
    ("regression", False): (Number, False, False, False, False),
    ("regression", True): (RawMap, False, False, False, False),
    ("embedding", False): (Embedding, False, False, False, False),
    ("ordinal", False): (Raw, False, False, False, False),
    ("ordinal", True): (RawMap, False, False, False, False),
}


@pytest.mark.parametrize(("name", "dense"), EXPECTED)
def test_what_a_kind_does_is_defined_in_one_place(name: str, dense: bool) -> None:
    kind = kind_of(name, dense)
    assert (type(kind), kind.thresholds, kind.exclusive, kind.watched, kind.countable) == EXPECTED[name, dense]
    assert (kind.name, kind.dense, kind.unit) == (name, dense, "pixel" if dense else "image")


@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_yes_no_answers_are_counted_as_a_loop_counts_them(shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(0)
    p, y = random.random((30, 2, *shape)), random.choice([0, 1, 255], (30, 2, *shape))
    threshold = [0.3, 0.7]
    kind = kind_of("binary", bool(shape))
    tally = kind.tally(torch.tensor(p), torch.tensor(y), torch.tensor(threshold))
    counts = kind.count(torch.tensor(y), 2)
    for c in range(2):
        pairs = [(float(a), int(b)) for a, b in zip(p[:, c].flat, y[:, c].flat, strict=True) if b != 255]
        assert tally.chosen[c] == sum(a >= threshold[c] for a, _ in pairs)
        assert tally.true[c] == sum(b for _, b in pairs)
        assert tally.known[c] == len(pairs)
        assert counts[c].tolist() == [sum(b == side for _, b in pairs) for side in (0, 1)]
        share = float(kind.prior(counts)[c])
        assert expit(kind.bias(share)) == pytest.approx(share)


@pytest.mark.parametrize(("shape", "missing"), [((), -100), ((2, 3), 255)])
def test_classes_are_counted_as_scikit_learn_counts_them(shape: tuple[int, ...], missing: int) -> None:
    random = np.random.default_rng(1)
    p, y = random.random((9, 3, *shape)), random.choice([0, 1, 2, missing], (9, *shape))
    kind = kind_of("multiclass", bool(shape))
    tally = kind.tally(torch.tensor(p), torch.tensor(y), torch.empty(0))
    known = y != missing
    matrix = confusion_matrix(y[known], p.argmax(1)[known], labels=range(3))
    assert tally.true.tolist() == kind.count(torch.tensor(y), 3).tolist() == matrix.sum(1).tolist()
    assert tally.chosen.tolist() == matrix.sum(0).tolist()
    assert int(tally.known) == known.sum()
    shares = kind.prior(tally.true)
    assert softmax([kind.bias(share) for share in shares.tolist()]) == pytest.approx(shares.numpy())


@pytest.mark.parametrize("kind", [Number(), Embedding(), Raw("ordinal"), RawMap("ordinal")])
def test_nothing_is_decided_where_nothing_can_be(kind: Kind) -> None:
    assert kind.decide(torch.rand(2, 3), torch.full((3,), 0.5)) is None
    assert kind.evaluator() is None
    for count in (
        lambda: kind.count(torch.zeros(2, 1), 1),
        lambda: kind.tally(torch.zeros(2, 1), torch.zeros(2, 1), torch.zeros(1)),
    ):
        with pytest.raises(NotImplementedError, match=type(kind).__name__):
            count()


def test_an_exported_file_describes_the_output_of_each_kind() -> None:
    mask = Question("where", Mask(), ("lesion",), (0.123456789,))
    assert mask.description == {"kind": "binary", "of each": "pixel", "channels": ["lesion"], "threshold": [0.123457]}
    raw = Question("grade", Raw("ordinal"), ("0", "1"))
    assert raw.description == {"kind": "ordinal", "of each": "image", "channels": ["0", "1"], "threshold": None}


class Own(RawValues):
    """An evaluator from elsewhere."""


@dataclass(frozen=True)
class Grade(ClassLabel):
    """A class label with another name; all else is inherited."""

    name: str = "grade"


@dataclass(frozen=True)
class WithOwn(Raw):
    """Brings its evaluator."""

    name: str = "own"
    ignore_index: ClassVar[int | None] = None

    def evaluator(self) -> type[Evaluator]:
        return Own


@pytest.mark.parametrize(
    ("kind", "evaluator"),
    [
        (ClassMask(), ClassMasks),
        (Grade(), ClassEvaluator),
        (WithOwn(), Own),
        (Raw("ordinal"), RawValues),
        (RawMap("depth"), RawValues),
    ],
)
def test_an_evaluator_is_the_kind_s_own_or_that_of_the_nearest_base(kind: Kind, evaluator: type[Evaluator]) -> None:
    assert evaluator_of(kind) is evaluator


def test_kinds_are_equal_where_they_are_the_same() -> None:
    kinds = [kind_of(*key) for key in EXPECTED]
    for one, other in itertools.combinations(kinds, 2):
        assert one != other
    assert kinds == [kind_of(*key) for key in EXPECTED]

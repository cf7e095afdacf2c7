"""Mixed sources: one class list, missing where a source has nothing, and a fixed share of each in an epoch."""

import re
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch

from tandem.data.datamodule import DataModule
from tandem.data.mixed import Mixed
from tandem.data.samples import Samples
from tandem.data.targets import NO_MASKS, Targets
from tandem.errors import ConfigError, DataError


class Given:
    """A source of what it is given."""

    channels = 1

    def __init__(self, name: str, classes: tuple[str, ...], splits: dict[str, Samples], targets: Targets) -> None:
        self.name, self.classes, self.splits, self.targets = name, classes, splits, targets
        self.levels: tuple[tuple[float, float], ...] = ()

    def load(self) -> dict[str, Samples]:
        return self.splits


@pytest.fixture
def pair(tiny_samples: Any) -> dict[str, Given]:
    """One source of classes only, and one of masks and other classes."""
    counts = {"train": 30, "val": 6, "test": 6}
    whole = {split: tiny_samples(count, split) for split, count in counts.items()}
    none = {split: replace(part, masks=part.masks[:, :0]) for split, part in whole.items()}
    few = {split: replace(part.pick(range(6)), labels=part.labels[:6] % 2) for split, part in whole.items()}
    return {
        "a": Given("one", ("x", "y", "z"), none, NO_MASKS),
        "b": Given("two", ("w", "y"), few, Targets()),
    }


def test_classes_of_one_name_are_one_class(pair: dict[str, Given]) -> None:
    mixed = Mixed(pair)
    assert mixed.classes == ("x", "y", "z", "w")
    val = mixed.load()["val"]
    assert val.labels.tolist() == [0, 1, 2, 0, 1, 2, 3, 1, 3, 3, 1, 3]
    assert val.ids[0] == "a/val/0"
    assert val.ids[6] == "b/val/0"


def test_what_a_source_lacks_is_missing(pair: dict[str, Given]) -> None:
    mixed = Mixed(pair)
    train = mixed.load()["train"]
    assert mixed.targets == Targets()
    assert (train.masks[:30] == 255).all()
    assert torch.equal(train.masks[30:], pair["b"].splits["train"].masks)


def test_unknown_labels_stay_unknown(pair: dict[str, Given]) -> None:
    pair["b"].splits["train"].labels[:2] = -100
    assert Mixed(pair).load()["train"].labels[30:].tolist() == [-100, -100, 3, 3, 1, 3]


def test_findings_and_columns_are_put_together(pair: dict[str, Given]) -> None:
    findings = torch.tensor([[0, 1]] * 6, dtype=torch.uint8)
    pair["b"].splits = {
        split: replace(part, findings=findings, columns={"age": torch.arange(6.0)})
        for split, part in pair["b"].splits.items()
    }
    pair["b"].targets = Targets(findings=("cyst", "mass"), columns=("age",))
    mixed = Mixed(pair)
    val = mixed.load()["val"]
    assert val.findings is not None
    assert val.findings.tolist() == [[255, 255]] * 6 + [[0, 1]] * 6
    assert val.columns["age"].isnan().tolist() == [True] * 6 + [False] * 6
    assert mixed.targets.findings == ("cyst", "mass")


@pytest.mark.parametrize(("shares", "of_a"), [({"a": 1, "b": 1}, 18), ({"a": 1, "b": 3}, 9), ({"b": 1, "a": 0}, 0)])
def test_an_epoch_visits_each_source_by_its_share(pair: dict[str, Given], shares: dict[str, float], of_a: int) -> None:
    data = DataModule(Mixed(pair, shares=shares), None, batch_size=6, workers=0, seed=0)
    data.setup()
    loader: Any = data.train_dataloader()
    seen: Counter[str] = Counter()
    for epoch in range(3):
        loader.sampler.set_epoch(epoch)
        names = [name for batch in loader for name in batch["id"]]
        assert len(names) == 36
        assert sum(name.startswith("a/") for name in names) == of_a
        seen.update(names)
    visits = [seen[f"b/train/{row}"] for row in range(6)]
    assert max(visits) - min(visits) <= 1
    assert len([name for batch in data.val_dataloader() for name in batch["id"]]) == 12


def test_shares_and_balanced_classes_are_not_both_given(pair: dict[str, Given]) -> None:
    with pytest.raises(ConfigError, match=r"loader\.sampling is balanced and data\.shares is given too"):
        DataModule(Mixed(pair, shares={"a": 1, "b": 1}), None, 6, 0, 0, sampling="balanced")


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"a": 1}, "names a, but the sources are a, b"),
        ({"a": 1, "b": -1}, "needs non-negative numbers"),
        ({"a": 0, "b": 0}, "not all of them 0"),
        ({"a": 1, "b": True}, "needs non-negative numbers"),
        ({"a": 1, "b": float("nan")}, "needs non-negative numbers"),
    ],
)
def test_shares_that_cannot_work(pair: dict[str, Given], shares: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Mixed(pair, shares=shares)


def test_sources_that_do_not_fit_together(pair: dict[str, Given], tiny_samples: Any) -> None:
    with pytest.raises(ConfigError, match=r"data\.sources is empty"):
        Mixed({})
    with pytest.raises(ConfigError, match=r"data\.sources\.a is not a data set"):
        Mixed({"a": {"root": "x"}})  # type: ignore[dict-item]
    with pytest.raises(DataError, match=r"images of the sizes"):
        Mixed(pair, size=16).load()
    pair["a"].targets = Targets(mask_channels=("hair",))
    with pytest.raises(DataError, match=r"different kinds of masks \(a: hair; b: lesion\)"):
        Mixed(pair).targets  # noqa: B018 (a property that checks)
    pair["a"].channels = 3
    with pytest.raises(ConfigError, match="differ in channels"):
        Mixed(pair)


def test_errors_of_a_source_name_the_keys_as_they_are_typed(pair: dict[str, Given]) -> None:
    class Lost(Given):
        def __init__(self, given: Given, root: str) -> None:
            super().__init__(given.name, given.classes, given.splits, given.targets)
            self.root = root

        def load(self) -> dict[str, Samples]:
            raise DataError(f"data.root={self.root!r} is no folder, nor is data.csv a file of it: set data.root=...")

    line = "data.sources.b.root='here' is no folder, nor is data.csv a file of it: set data.sources.b.root=..."
    with pytest.raises(DataError, match=rf"^{re.escape(line)}$"):
        Mixed({"a": pair["a"], "b": Lost(pair["b"], "here")}).load()


def test_sources_of_different_depth_keep_their_own_levels(pair: dict[str, Given]) -> None:
    of_bytes = pair["b"].splits["train"]
    deep = {
        split: replace(
            part,
            images=part.images.to(torch.int32).mul(4).to(torch.uint16),
            levels=torch.tensor([[0.0, 1020.0]]).expand(len(part), 2),
        )
        for split, part in pair["a"].splits.items()
    }
    source = Given("one", ("x", "y", "z"), deep, NO_MASKS)
    source.levels = ((0.0, 1020.0),)
    mixed = Mixed({"a": source, "b": pair["b"]})
    train = mixed.load()["train"]
    assert mixed.levels == ((0.0, 1020.0),)
    assert train.images.dtype == torch.uint16
    torch.testing.assert_close(train.take([0])["image"], pair["a"].splits["train"].take([0])["image"])
    assert torch.equal(train.take([30])["image"], of_bytes.take([0])["image"])

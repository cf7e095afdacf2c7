"""The command that shows what training sees."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tandem.data.augment import Augment
from tandem.data.datamodule import DataModule
from tandem.show_data.command import evenly, main, versions


@pytest.mark.parametrize("augment", ["none", "light", "medical", "strong"])
def test_each_option_writes_a_figure(in_process: Callable[..., Any], tmp_path: Path, augment: str) -> None:
    outcome = in_process(main)(
        f"augment={augment}", "images=2", "versions=1", "data.train=6", "data.val=6", "data.test=6", "data.seed=3"
    )
    assert outcome.code == 0, outcome.err
    name = f"phantom_{augment}_seed-3_test-6_train-6_val-6_images-2_versions-1.png"
    file = tmp_path / "runs" / "show_data" / name
    assert outcome.out.splitlines()[-1] == f"runs/show_data/{name}"
    with Image.open(file) as image:
        assert min(image.size) > 200


def test_masks_of_several_kinds_missing_masks_and_odd_names_are_drawn(
    in_process: Callable[..., Any], trees: Any, tmp_path: Path
) -> None:
    root = trees.folders(tmp_path / "set", 9, masked=lambda number: number % 3 > 0)
    (root / "malignant").rename(root / "$\\frac")
    outcome = in_process(main)("data=folder", f"data.root={root}", "augment=strong", "data.channels=3", "out=a/b.png")
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "a" / "b.png").is_file()


def test_versions_are_those_of_training(tiny_source: Any) -> None:
    augment = Augment(horizontal_flip=0.5, noise=0.1)
    data = DataModule(tiny_source, augment, 4, 0, seed=7)
    data.setup()
    samples = data.splits["train"]
    original, *shown = versions(samples, torch.tensor([1, 5, 12]), 2, 7, augment)
    assert torch.equal(original["image"], samples.take([1, 5, 12])["image"])
    loader = data.train_dataloader()
    for epoch in range(2):
        sampler: Any = loader.sampler
        sampler.set_epoch(epoch)
        trained = [data.on_after_batch_transfer(batch, 0) for batch in loader]
        of = {name: batch["image"][row] for batch in trained for row, name in enumerate(batch["id"])}
        for row, name in enumerate(shown[epoch]["id"]):
            if name in of:  # a last batch of one row is left out
                assert torch.equal(shown[epoch]["image"][row], of[name])


def test_rows_are_taken_evenly() -> None:
    assert evenly(100, 4).tolist() == [12, 37, 62, 87]
    assert evenly(3, 3).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["split=tset"], "did you mean 'test'"),
        (["images=0"], "images is 0, but must lie in 1 to 50"),
        (["versions=21"], "versions is 21, but must lie in 0 to 20"),
        (["augment=medcal"], "medical"),
        (["out=."], "out=. is a folder, but must be a file; name one in it"),
        (["out=runs"], "out=runs is a folder, but must be a file; name one in it"),
        (["augment.rotate=200"], "augment.rotate is 200, but must lie in [0, 180]"),
    ],
)
def test_mistakes_are_one_line(
    in_process: Callable[..., Any], tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "runs").mkdir()
    outcome = in_process(main)(*arguments)
    assert outcome.code == 1
    assert message in outcome.error

import inspect
import itertools
import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from tandem.data import busi
from tandem.data.busi import BUSI, find_root, scan
from tandem.data.checks import check_splits
from tandem.data.files.faults import Faults
from tandem.data.files.masks import read_mask
from tandem.data.files.pillow_reader import open_image
from tandem.data.files.records import Decoder
from tandem.data.samples import SPLITS, Samples
from tandem.data.source import Source
from tandem.data.splitting.splits import read_table, split_rows, write_splits
from tandem.errors import ConfigError, DataError

Tree = Callable[..., Path]
CONF = Path(__file__).parents[2] / "conf" / "data" / "busi.yaml"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def joined(splits: dict[str, Samples], name: str) -> torch.Tensor:
    return torch.cat([getattr(splits[split], name) for split in SPLITS])


def row_of(splits: dict[str, Samples], name: str) -> tuple[Samples, int]:
    return next((part, part.ids.index(name)) for part in splits.values() if name in part.ids)


def same(one: dict[str, Samples], other: dict[str, Samples]) -> bool:
    fingerprints = all(one[split].fingerprint() == other[split].fingerprint() for split in SPLITS)
    return fingerprints and all(one[split].groups == other[split].groups for split in SPLITS)


def test_a_tree_becomes_splits(busi_tree: Tree) -> None:
    source: Source = BUSI(str(busi_tree(8)), size=16, channels=3)
    splits = dict(source.load())
    check_splits(source.name, splits, source.classes)
    assert {split: len(splits[split]) for split in SPLITS} == {"train": 18, "val": 3, "test": 3}
    assert joined(splits, "images").shape == (24, 3, 16, 16)
    assert joined(splits, "masks").shape == (24, 1, 16, 16)
    part, row = row_of(splits, "malignant (3)")
    assert source.classes[int(part.labels[row])] == "malignant"
    assert part.groups[row] == "malignant (3)"
    assert list(part.ids) == sorted(part.ids)
    lesion = joined(splits, "masks").flatten(1).any(1)
    assert torch.equal(lesion, joined(splits, "labels") > 0)


def test_masks_of_one_image_are_merged(busi_tree: Tree) -> None:
    root = busi_tree(8)
    folder = root / "benign"
    with Image.open(folder / "benign (1).png") as image:
        size = image.size
    part, row = row_of(BUSI(str(root), size=48).load(), "benign (1)")
    masks = [folder / "benign (1)_mask.png", folder / "benign (1)_mask_1.png"]
    one, other = (read_mask([mask], 48, size)[0] for mask in masks)
    np.testing.assert_array_equal(part.masks[row, 0].numpy(), one | other)
    assert (one & ~other).any()
    assert (other & ~one).any()


def test_the_parent_folder_will_do(busi_tree: Tree) -> None:
    root = busi_tree(8)
    assert find_root(str(root.parent)) == find_root(str(root)) == root


@pytest.mark.parametrize("root", [None, ""])
def test_no_root_is_refused_with_the_fix(root: str | None) -> None:
    with pytest.raises(DataError, match=r"set data\.root=\.\.\. to the folder Dataset_BUSI_with_GT"):
        BUSI(root).load()


def test_wrong_roots_are_refused_with_the_fix(busi_tree: Tree, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.root='.*absent' is not a folder"):
        BUSI(str(tmp_path / "absent")).load()
    root = busi_tree(2)
    shutil.rmtree(root / "normal")
    with pytest.raises(DataError, match=r"lacks the class folders normal: set data\.root"):
        BUSI(str(root)).load()
    (root / "normal").mkdir()
    with pytest.raises(DataError, match="normal' has no PNG images"):
        BUSI(str(root)).load()


def test_hidden_and_other_files_are_passed_over(busi_tree: Tree) -> None:
    root = busi_tree(2)
    (root / "benign" / "._benign (1).png").write_bytes(b"resource fork")
    (root / "benign" / "Thumbs.db").write_bytes(b"preview")
    assert len(scan(root, Faults("fail"))) == 6


def test_normal_images_need_no_mask(busi_tree: Tree) -> None:
    root = busi_tree(8)
    (root / "normal" / "normal (2)_mask.png").unlink()
    part, row = row_of(BUSI(str(root), size=16).load(), "normal (2)")
    assert not part.masks[row].any()


def test_all_faults_are_reported_at_once(busi_tree: Tree) -> None:
    root = busi_tree(8)
    (root / "benign" / "benign (2)_mask.png").unlink()
    (root / "benign" / "benign (3).png").write_bytes(b"")
    Image.new("1", (5, 5)).save(root / "malignant" / "malignant (4)_mask.png")
    with pytest.raises(DataError) as caught:
        BUSI(str(root)).load()
    first, second, third = str(caught.value).splitlines()
    assert first.startswith("3 of 24 images cannot be used; the first: ")
    assert "benign (2).png' has no mask: add 'benign (2)_mask.png'" in first
    assert "benign (3).png" in second
    assert "malignant (4)_mask.png' is 5x5" in third


def test_masks_without_image_and_names_used_twice(busi_tree: Tree) -> None:
    root = busi_tree(2)
    (root / "benign" / "benign (2).png").rename(root / "malignant" / "normal (1).png")
    with pytest.raises(DataError) as caught:
        BUSI(str(root)).load()
    assert "benign (2)_mask.png' belongs to no image" in str(caught.value)
    assert "normal (1).png' has the same name as an image of another class" in str(caught.value)


def test_a_class_too_small_for_all_splits_is_refused(busi_tree: Tree) -> None:
    with pytest.raises(DataError, match=r"class 'normal' is missing from split val"):
        BUSI(str(busi_tree(2))).load()


def test_a_subset_is_taken_and_its_list_checked(busi_tree: Tree, tmp_path: Path) -> None:
    root, path = busi_tree(9), tmp_path / "subset.csv"
    kept = [(name, number) for name in busi.CLASSES for number in range(2, 9)]
    path.write_text("class;id\n" + "".join(f"{name};{number}\n" for name, number in kept))
    (root / "benign" / "benign (1).png").write_bytes(b"not chosen, so not opened")
    splits = BUSI(str(root), size=16, subset=str(path)).load()
    assert {name for part in splits.values() for name in part.ids} == {f"{name} ({number})" for name, number in kept}
    path.write_text("class;id\nbenign;2\nbenign;2\nnormal;77\n../benign;3\n")
    with pytest.raises(DataError) as caught:
        BUSI(str(root), subset=str(path)).load()
    assert "'benign (2)' twice" in str(caught.value)
    assert "'normal (77)', which is not below data.root" in str(caught.value)
    assert str(caught.value).startswith("3 of 4 entries")


def test_near_duplicates_stay_together_unless_switched_off(busi_tree: Tree, tmp_path: Path) -> None:
    root, path = busi_tree(8), tmp_path / "groups.csv"
    shutil.copy(root / "benign" / "benign (5).png", root / "malignant" / "malignant (2).png")
    shutil.copy(root / "benign" / "benign (5)_mask.png", root / "malignant" / "malignant (2)_mask.png")
    path.write_text("group,image\n0,normal (1).png\n0,normal (2).png\n")
    for groups, pair in ((None, ("benign (5)", "malignant (2)")), (str(path), ("normal (1)", "normal (2)"))):
        splits = BUSI(str(root), size=16, groups=groups).load()
        parts, rows = zip(*(row_of(splits, name) for name in pair), strict=True)
        assert parts[0] is parts[1]
        assert [parts[0].groups[row] for row in rows] == [pair[0]] * 2
    assert all(part.groups == () for part in BUSI(str(root), size=16, groups="none").load().values())


def test_size_and_channels_do_not_move_images(busi_tree: Tree) -> None:
    root = str(busi_tree(8))
    one, other = BUSI(root, size=16).load(), BUSI(root, size=40, channels=3).load()
    assert all(one[split].ids == other[split].ids for split in SPLITS)


def test_the_second_load_comes_from_the_cache(
    busi_tree: Tree, own_cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    root = busi_tree(8)
    source = BUSI(str(root), size=16)
    assert source.files_fingerprint is None
    first, fingerprint = source.load(), source.files_fingerprint
    assert fingerprint is not None
    assert len(fingerprint) == 64
    (file,) = own_cache.iterdir()
    decode, calls = Decoder.decode, []
    monkeypatch.setattr(Decoder, "decode", lambda *given: calls.append(given) or decode(*given))
    assert same(BUSI(str(root.parent), size=16).load(), first)
    assert not calls

    file.write_bytes(file.read_bytes()[:-100])
    with caplog.at_level(logging.WARNING):
        assert same(BUSI(str(root), size=16).load(), first)
    assert len(calls) == 1
    assert "damaged" in caplog.text

    BUSI(str(root), size=24).load()
    assert len(calls) == 2
    Image.new("RGB", (30, 30), "red").save(root / "normal" / "normal (8).png")
    Image.new("1", (30, 30)).save(root / "normal" / "normal (8)_mask.png")
    source.load()
    assert len(calls) == 3
    assert source.files_fingerprint != fingerprint


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 4},
        {"size": 64.0},
        {"size": True},
        {"channels": 2},
        {"split_seed": -1},
        {"fractions": {"train": 1.0}},
        {"folds": 1, "fold": 0},
        {"fold": 0},
        {"fold": 5, "folds": 5},
        {"overlays": "hide"},
        {"on_error": "ignore"},
    ],
)
def test_settings_out_of_range_are_refused_before_files_are_touched(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"data.{next(iter(wrong))}"):
        BUSI("absent", **wrong)


def test_the_configuration_names_every_option_and_its_default() -> None:
    config = OmegaConf.load(CONF)
    assert OmegaConf.is_missing(config, "root")
    options = OmegaConf.to_container(OmegaConf.merge(config, {"root": "somewhere"}))
    assert isinstance(options, dict)
    assert options.pop("_target_") == f"{BUSI.__module__}.{BUSI.__name__}"
    configured, plain = BUSI(**{str(key): value for key, value in options.items()}), BUSI("somewhere")
    assert vars(configured) == vars(plain)
    assert sorted(options) == sorted(inspect.signature(BUSI).parameters)


def test_faulty_images_can_be_skipped(busi_tree: Tree) -> None:
    root = busi_tree(10)
    (root / "benign" / "benign (2)_mask.png").unlink()
    (root / "benign" / "benign (3).png").write_bytes(b"")
    (root / "normal" / "lonely_mask.png").write_bytes(b"")
    source = BUSI(str(root), size=16, on_error="skip")
    for _ in range(2):  # decoded, and from the cache
        ids = {name for part in source.load().values() for name in part.ids}
        assert len(ids) == 28
        assert not ids & {"benign (2)", "benign (3)"}
        assert [re.findall(r"[\w ()]+\.png", line)[0] for line in source.skipped] == [
            "lonely_mask.png", "benign (2).png", "benign (3).png",
        ]  # fmt: skip


def test_images_with_coloured_marks_can_be_left_out(busi_tree: Tree, caplog: pytest.LogCaptureFixture) -> None:
    root = busi_tree(9)
    rng = np.random.default_rng(0)
    for path in sorted(root.glob("*/*).png")):
        with Image.open(path) as image:
            Image.fromarray(rng.integers(0, 256, (image.height, image.width), dtype=np.uint8)).convert("RGB").save(path)
    marked = root / "benign" / "benign (4).png"
    with Image.open(marked) as image:
        image.paste((255, 255, 0), (3, 3, 9, 5))
        image.save(marked)
    caplog.set_level(logging.INFO)
    assert len(joined(BUSI(str(root), size=16).load(), "labels")) == 27
    assert "1 images with coloured marks are kept (data.overlays=drop drops them): benign (4)" in caplog.text
    dropped = BUSI(str(root), size=16, overlays="drop").load()
    ids = [name for part in dropped.values() for name in part.ids]
    assert len(ids) == 26
    assert "benign (4)" not in ids
    part, row = row_of(dropped, "malignant (3)")
    assert part.groups[row] == "malignant (3)"


def test_folds_and_split_files(busi_tree: Tree, tmp_path: Path) -> None:
    root, path = str(busi_tree(9)), tmp_path / "splits.csv"
    folds = [BUSI(root, size=16, folds=3, fold=fold).load() for fold in range(3)]
    tested = [name for fold in folds for name in fold["test"].ids]
    assert sorted(tested) == sorted(name for part in folds[0].values() for name in part.ids)
    write_splits(path, folds[1], busi.CLASSES)
    assert same(BUSI(root, size=16, split_file=str(path)).load(), folds[1])


def test_an_archive_is_as_good_as_its_folder(busi_tree: Tree, tmp_path: Path) -> None:
    root = busi_tree(8)
    archive = shutil.make_archive(str(tmp_path / "busi"), "zip", root.parent, root.name)
    assert same(BUSI(archive, size=16).load(), BUSI(str(root), size=16).load())


@pytest.fixture(scope="module")
def real(real_busi: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Samples]]:
    cache = tmp_path_factory.mktemp("cache")
    return cache, BUSI(str(real_busi), cache=str(cache)).load()


def test_the_real_set_is_complete(real: tuple[Path, dict[str, Samples]]) -> None:
    labels, masks = joined(real[1], "labels"), joined(real[1], "masks")
    assert torch.bincount(labels).tolist() == [133, 437, 210]
    area = [float(masks[labels == label].float().mean()) for label in range(3)]
    assert area == pytest.approx([0, 0.069, 0.147], abs=0.001)


def test_the_real_splits_are_stratified_and_apart(real: tuple[Path, dict[str, Samples]]) -> None:
    shares = {}
    for split, wanted in (("train", 0.7), ("val", 0.15), ("test", 0.15)):
        part = real[1][split]
        assert len(part) / 780 == pytest.approx(wanted, abs=0.02)
        shares[split] = torch.bincount(part.labels) / len(part)
    for one, other in itertools.combinations(SPLITS, 2):
        assert (shares[one] - shares[other]).abs().max() < 0.03
        assert not set(real[1][one].groups) & set(real[1][other].groups)


def test_listed_near_duplicates_do_not_straddle(real: tuple[Path, dict[str, Samples]], real_busi: Path) -> None:
    home = {name: split for split, part in real[1].items() for name in part.ids}
    assert home["benign (433)"] == home["malignant (145)"]
    listed = read_table(real_busi / "near_duplicates_corr097.csv", ("group", "image"))
    places: dict[str, set[str]] = {}
    for row in listed:
        places.setdefault(row["group"], set()).add(home[row["image"].removesuffix(".png")])
    assert len(places) == 83
    assert all(len(place) == 1 for place in places.values())


def test_the_real_set_comes_back_from_the_cache(
    real: tuple[Path, dict[str, Samples]], real_busi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Decoder, "decode")
    assert same(BUSI(str(real_busi / "Dataset_BUSI_with_GT"), cache=str(real[0])).load(), real[1])


def test_the_real_unions_hold_their_parts(real_busi: Path) -> None:
    several = [record for record in scan(find_root(str(real_busi)), Faults("fail")) if len(record.masks[0] or ()) > 1]
    assert len(several) == 17
    for record in several:
        size = open_image(record.image).size
        (masks,) = record.masks
        assert masks is not None
        union = read_mask(masks, 256, size)
        parts = [read_mask([mask], 256, size) for mask in masks]
        assert all((part <= union).all() and part.any() for part in parts)


def test_the_curated_subset_is_taken(real_busi: Path) -> None:
    source = BUSI(str(real_busi), size=32, subset=str(real_busi / "curated_busi.csv"))
    assert torch.bincount(joined(source.load(), "labels")).tolist() == [64, 222, 164]


def test_the_marks_on_real_images_are_found(
    real: tuple[Path, dict[str, Samples]], real_busi: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    splits = BUSI(str(real_busi), cache=str(real[0]), overlays="drop").load()
    assert "7 images with coloured marks are dropped: benign (234), benign (240)" in caplog.text
    assert len(joined(splits, "labels")) == 773


def test_the_real_division_is_what_it_was(real: tuple[Path, dict[str, Samples]]) -> None:
    """Runs of earlier versions stay comparable; masks change nothing, since the class shows which are empty."""
    labels = joined(real[1], "labels")
    names = [name for split in SPLITS for name in real[1][split].ids]
    groups = [name for split in SPLITS for name in real[1][split].groups]
    rows = split_rows(labels, groups, {"train": 0.7, "val": 0.15, "test": 0.15}, seed=0)
    assert all({names[row] for row in rows[split]} == set(real[1][split].ids) for split in SPLITS)


@pytest.mark.parametrize("option", ["subset", "groups"])
def test_a_list_that_is_gone_is_named_before_images_are_read(busi_tree: Tree, tmp_path: Path, option: str) -> None:
    with pytest.raises(
        DataError, match=rf"^data\.{option}='.*gone\.csv' is no file: give its place with data\.{option}="
    ):
        BUSI(str(busi_tree(4)), size=16, **{option: str(tmp_path / "gone.csv")}).load()

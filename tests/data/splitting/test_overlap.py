"""Images that are in two splits are refused where the splits were given, and named."""

import shutil
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tandem.data.datamodule import DataModule
from tandem.data.files.records import Record
from tandem.data.folder import Folder
from tandem.data.mixed import Mixed
from tandem.data.splitting.overlap import find_overlap
from tandem.data.splitting.splits import write_splits
from tandem.errors import ConfigError, DataError

COLUMNS = {"image": "image", "label": "label", "id": "name", "split": "fold"}
SPLIT = ("train", "val", "test", "train", "train", "val", "test", "train")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))


def table(trees: Any, root: Path, **columns: Any) -> Path:
    made: Path = trees.table(
        root,
        32,
        **{"name": lambda n: f"r{n}", "fold": lambda n: SPLIT[n // 4], "patient": lambda n: f"q{n}", **columns},
    )
    return made


def module(root: Path, **options: Any) -> DataModule:
    more = {"size": 16, "columns": COLUMNS, "near_duplicates": False, **options}
    return DataModule(Folder(str(root), table="table.csv", **more), None, batch_size=4, workers=0, seed=0)


def refused_unless_allowed(line: str, root: Path, count: int, **options: Any) -> None:
    with pytest.raises(DataError, match=line):
        module(root, **options).setup()
    allowed = module(root, allow_overlap=True, **options)
    allowed.setup()
    assert len(allowed.notes["overlap"]) == count


def test_one_file_under_two_ids(trees: Any, tmp_path: Path) -> None:
    root = table(trees, tmp_path / "mine", image=lambda n: f"images/p{1 if n == 9 else n}.png")
    line = "'r1' in train and 'r9' in test are the same file: draw new splits with data.resplit=true, or go on with"
    refused_unless_allowed(line, root, 1)


def test_one_content_in_two_files(trees: Any, tmp_path: Path) -> None:
    root = table(trees, tmp_path / "mine")
    for one, other in ((1, 9), (2, 10), (0, 5), (4, 11), (3, 12)):  # the last two stay in train
        shutil.copy(root / "images" / f"p{one}.png", root / "images" / f"p{other}.png")
    line = (
        r"^4 pairs of images that belong together are in different splits \(draw new splits with data\.resplit=true, "
        r"or go on with data\.allow_overlap=true\); the first: 'r\d+' in \w+ and 'r\d+' in \w+ have the same content;"
    )
    refused_unless_allowed(line, root, 4)


def test_one_group_in_two_splits(trees: Any, tmp_path: Path) -> None:
    root = table(trees, tmp_path / "mine", patient=lambda n: "q0" if n in (0, 1, 9) else f"q{n}")
    refused_unless_allowed(
        "'r0' in train and 'r9' in test are of the same group 'q0'", root, 1, columns={**COLUMNS, "group": "patient"}
    )


def test_a_file_of_splits_is_checked_too(trees: Any, tmp_path: Path) -> None:
    root = table(trees, tmp_path / "mine", image=lambda n: f"images/p{1 if n == 9 else n}.png")
    allowed = module(root, allow_overlap=True)
    allowed.setup()
    write_splits(tmp_path / "splits.csv", allowed.splits, allowed.info.classes)
    columns = {key: value for key, value in COLUMNS.items() if key != "split"}
    with pytest.raises(DataError, match=r"are the same file: fix data\.split_file, or go on with"):
        module(root, columns=columns, split_file=str(tmp_path / "splits.csv")).setup()


def test_a_drawn_split_is_a_warning(trees: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = table(trees, tmp_path / "mine")
    for number in range(1, 32):
        shutil.copy(root / "images" / "p0.png", root / "images" / f"p{number}.png")
    drawn = module(root, resplit=True)
    drawn.setup()
    assert len(drawn.notes["overlap"]) > 0
    assert "different splits (" in caplog.text
    assert "data.near_duplicates=true keeps them in one split" in caplog.text


def test_sources_that_share_images_are_a_warning(trees: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    roots = [trees.folders(tmp_path / name, 10) for name in ("one", "other")]
    sources = {f"s{seed}": Folder(str(root), size=16, split_seed=seed) for seed, root in enumerate(roots)}
    mixed = Mixed(sources)
    data = DataModule(mixed, None, batch_size=4, workers=0, seed=0)
    data.setup()
    assert "images of different sources belong together" in caplog.text
    for pair in data.notes["overlap"]:
        assert pair["one"][:3] != pair["other"][:3]
        assert pair["one"][3:] == pair["other"][3:]


def test_a_fault_in_mixed_data_names_the_key_of_its_source(trees: Any, tmp_path: Path) -> None:
    root = table(trees, tmp_path / "mine", image=lambda n: f"images/p{n - 8 if n in (9, 10) else n}.png")
    source = Folder(str(root), table="table.csv", size=16, columns=COLUMNS)
    with pytest.raises(DataError, match=r"or go on with data\.sources\.mine\.allow_overlap=true"):
        Mixed({"mine": source}).load()


def test_pairs_are_those_of_a_comparison_of_all_with_all(tmp_path: Path) -> None:
    contents = [bytes([number % 5]) * (4000 + number % 3) + b"x" * 9000 for number in range(30)]
    records, rows = [], {"train": list(range(0, 12)), "val": list(range(12, 20)), "test": list(range(20, 30))}
    for number, content in enumerate(contents):
        path = tmp_path / f"{number}.bin"
        path.write_bytes(content)
        records.append(Record(str(number), path))
    home = {row: split for split, part in rows.items() for row in part}
    equal = {
        (one, other) for one, other in combinations(range(30), 2)
        if contents[one] == contents[other] and home[one] != home[other]
    }  # fmt: skip
    found = {(int(pair.one), int(pair.other)) for pair in find_overlap(records, rows)}
    assert found <= equal
    assert {other for _, other in found} == {other for _, other in equal}
    assert all(pair.splits == (home[int(pair.one)], home[int(pair.other)]) for pair in find_overlap(records, rows))


def test_the_option_is_true_or_false(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.allow_overlap is 'perhaps', but must be true or false"):
        Folder(str(tmp_path), allow_overlap="perhaps")

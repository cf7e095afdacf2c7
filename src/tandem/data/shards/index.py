"""LitData's `index.json`: it is believed only if it says that rows are plain tensors, before LitData reads anything."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.data.shards.layout import LARGEST, Layout
from tandem.errors import DataError
from tandem.utils.files import read_json

INDEX = "index.json"

SHARD = re.compile(r"chunk-\d{1,9}-\d{1,9}\.bin")
"""Names of shards, as LitData gives them; no other name is opened."""

ABSENT = ("compression", "compression_level", "encryption", "ipc_compression")
"""Options of LitData that would need another reader."""

LOADER = "PyTreeLoader"
"""How LitData names its reader of dicts."""


def read_index(folder: Path, layout: Layout) -> dict[str, int]:
    """The shards of a split with their numbers of rows, in order.

    Args:
        folder: of the split.
        layout: of its rows.

    Raises:
        DataError: there is no index, it is another version's, or its rows are not the expected tensors.
    """
    file = folder / INDEX
    try:
        found = read_json(file)
        config, chunks = found["config"], found["chunks"]
        shards = {chunk["filename"]: (chunk["chunk_size"], chunk["chunk_bytes"]) for chunk in chunks}
        if not isinstance(config, Mapping) or len(shards) != len(chunks) or not shards:
            raise TypeError("no shards, or one twice")
    except FileNotFoundError:
        raise DataError(f"{file} is missing: these are not all of the shards; copy or write them again") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        text = " ".join(str(error).split())[:80]
        raise DataError(f"{file} is not LitData's index of shards ({text}): copy or write them again") from error
    _check_format(file, config, layout)
    return {_name(file, name): _rows(file, name, size, layout) for name, size in shards.items()}


def _check_format(file: Path, config: Mapping[str, Any], layout: Layout) -> None:
    """Refuses all but dicts of tensors: LitData would unpickle other rows, or import what their description names."""
    kinds = config.get("data_format")
    if kinds != ["tensor"] * len(layout.fields):
        raise DataError(
            f"{file} has rows of the format {kinds!r}, which may run code when it is read, or is not tandem's: only "
            "tensors are read; write the shards with tandem-write-shards"
        )
    other = {key: config[key] for key in ABSENT if config.get(key) is not None}
    if config.get("item_loader") != LOADER:
        other["item_loader"] = config.get("item_loader")
    if other:
        raise DataError(f"{file} has {other}, which is not read: write the shards with tandem-write-shards")
    leaf: dict[str, Any] = {"type": None, "context": None, "children_spec": []}
    spec = {
        "type": "builtins.dict",
        "context": json.dumps(list(layout.fields)),
        "children_spec": [leaf] * len(layout.fields),
    }
    try:
        right = json.loads(config["data_spec"])[1] == spec
    except (KeyError, TypeError, ValueError, IndexError, RecursionError):
        right = False
    if not right:
        raise DataError(
            f"{file} describes other rows than {', '.join(layout.fields)}, or is of another version of LitData: write "
            "the shards again with tandem-write-shards"
        )


def _name(file: Path, name: Any) -> str:
    if not isinstance(name, str) or not SHARD.fullmatch(name):
        raise DataError(f"{file} names the shard {name!r}, which is no name of LitData's: do not trust it")
    return name


def _rows(file: Path, name: str, size: tuple[Any, Any], layout: Layout) -> int:
    """The number of rows of a shard, whose size follows from it."""
    rows, written = size
    if type(rows) is not int or rows < 1 or layout.shard(rows) > LARGEST:
        raise DataError(f"{file} says that {name} has {rows!r} rows: copy or write the shards again")
    wanted, path = layout.shard(rows), file.parent / name
    if written != wanted:
        raise DataError(
            f"{file} says that {name} has {written!r} bytes, but {rows} rows have {wanted}: write them again"
        )
    check_size(path, wanted)
    return rows


def check_size(path: Path, size: int) -> None:
    """Raises DataError if a file has not so many bytes."""
    try:
        found = path.stat().st_size
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): copy the shard again") from error
    if found != size:
        raise DataError(f"{path} has {found} bytes instead of {size}, so it is cut off or foreign: copy it again")


def begins(shards: Mapping[str, int]) -> NDArray[np.int64]:
    """The first row of each shard, and the number of all rows."""
    return np.cumsum([0, *shards.values()], dtype=np.int64)

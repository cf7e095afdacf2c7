"""Tables of hostile cases: what people could hand over, and how a command of tandem would read it.

`ESCAPES` name programs in configurations, runs, papers, words and weights; `FILES` are archives and files. Each case is
refused with one line of tandem, or read as plain data, within seconds; no program runs, nothing is written outside.
"""

import csv
import io
import json
import os
import pickle
import shutil
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import chdir
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import tandem
from tandem.config.hydra_section import check_words
from tandem.config.instantiate import build
from tandem.data.files import archives
from tandem.data.files.archives import folder_of
from tandem.data.files.cache import digest
from tandem.data.files.pillow_reader import open_image
from tandem.data.medmnist import read_npz
from tandem.data.splitting.splits import read_splits
from tandem.errors import TandemError
from tandem.paper.archive import open_archive
from tandem.paper.jobs import filled
from tandem.paper.reading import read_paper
from tandem.runs.restore import restore
from tandem.utils.files import read_json, sha256

KEPT = Path(__file__).parents[1] / "golden" / "run_0.1.0"
CANARY = "canary"
LIMIT = 15.0
"""Seconds."""

PROGRAMS: tuple[dict[str, Any], ...] = (
    {"_target_": "tandem.jobs.process.Child", "command": ["touch", CANARY]},
    {"_target_": "tandem.utils.files.write_text", "_args_": [CANARY, "x"]},
    {"_target_": "tandem.paper.launch.train", "words": ["--help"]},
    {"_target_": "subprocess.run", "args": ["touch", CANARY]},
    {"_target_": "os.system", "command": f"touch {CANARY}"},
    {"_target_": "builtins.open", "file": CANARY, "mode": "w"},
    {"_target_": "builtins.exec", "_args_": [f"open('{CANARY}', 'w')"]},
    {"_target_": "torch.hub.load", "_args_": ["a/b", "c"]},
    {"_target_": "torch.load", "f": CANARY, "weights_only": False},
    {"_target_": "pandas.read_pickle", "_args_": [CANARY]},
    {"_target_": "numpy.load", "file": CANARY, "allow_pickle": True},
    {"_target_": "logging.FileHandler", "filename": CANARY, "mode": "w"},
    {"_target_": "shutil.copyfile", "src": "/etc/hostname", "dst": CANARY},
    {"_target_": "pytorch_lightning.cli.LightningCLI"},
)
"""What would run, download or overwrite."""

Act = Callable[[Path], object]


@dataclass(frozen=True)
class Hostile:
    """A hostile case.

    Attributes:
        name: what it is.
        act: makes it in an empty folder, which is the working directory, and reads it.
        may_pass: whether it may be read as plain data instead of being refused.
    """

    name: str
    act: Act
    may_pass: bool = False

    def __str__(self) -> str:
        return self.name


def fault(case: Hostile, folder: Path) -> str:
    """What is wrong with how a case ended; empty if nothing is.

    Args:
        case: of a table.
        folder: that does not exist.
    """
    work = folder / "work"
    work.mkdir(parents=True)
    (folder / "outside").mkdir()
    said, began = "", time.monotonic()
    with chdir(work):
        try:
            case.act(work)
            said = "" if case.may_pass else "not refused"
        except TandemError as error:
            said = "several lines" if "\n" in str(error) else ""
        except Exception as error:
            said = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
    if [path for path in folder.rglob(CANARY) if path.is_file()] or list((folder / "outside").iterdir()):
        return "it got out"
    return said or ("too slow" if time.monotonic() - began > LIMIT else "")


# ------------------------------------------------------------------------------------------------------------- escapes


def _hidden(program: Mapping[str, Any]) -> dict[str, tuple[str, dict[str, Any]]]:
    """Places of a configuration, with the program as it is hidden there."""
    loss = {"_target_": "tandem.losses.binary.Focal", "gamma": program}
    return {
        "a penalty": ("penalties.x", dict(program)),
        "a partial optimizer": ("optimizer", {**program, "_partial_": True}),
        "betas": ("optimizer", {"_target_": "torch.optim.AdamW", "_partial_": True, "betas": [program]}),
        "positional": ("optimizer", {"_target_": "torch.optim.SGD", "_args_": [program]}),
        "inside a loss": ("tasks.segmentation.loss", loss),
        "a paper": ("paper.refine", dict(program)),
    }


def change(run: Path, key: str, value: Any) -> None:
    """Writes a value into `results.json` of a run, at a dotted key."""
    results = read_json(run / "results.json")
    *parents, last = key.split(".")
    node = results
    for parent in parents:
        node[parent] = node.get(parent) or {}
        node = node[parent]
    node[last] = value
    (run / "results.json").write_text(json.dumps(results))


def _run_with(key: str, value: Any, folder: Path) -> Path:
    run = Path(shutil.copytree(KEPT, folder / "run"))
    change(run, key, value)
    return run


def _load_with(key: str, value: Any, folder: Path) -> object:
    return tandem.load(_run_with(key, value, folder), device="cpu")


class Bomb:
    """Unpickled, it touches a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {CANARY}",)


def _pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps(Bomb()))


def _saved(path: Path) -> None:
    torch.save({"state_dict": {}, "epoch": Bomb()}, path)


def _other(path: Path) -> None:
    torch.save([1, 2], path)


def _without_state(path: Path) -> None:
    torch.save({"epoch": 1}, path)


WEIGHTS: Mapping[str, Act] = {
    "a pickle": _pickled,
    "a pickle inside of a checkpoint": _saved,
    "a list": _other,
    "no state": _without_state,
    "text": lambda path: path.write_text("x"),
    "nothing": lambda path: path.write_bytes(b""),
}


def _restored(make: Act, folder: Path) -> object:
    run = Path(shutil.copytree(KEPT, folder / "run"))
    make(run / "best.ckpt")
    return restore(run)


def _started_from(make: Act, ending: str, folder: Path) -> object:
    from tandem.network.make import make_network

    place = folder / f"given{ending}"
    make(place)
    return make_network(1, dense=False, backbone="resnet18", decoder="unet", weights=str(place))


KEYS = (
    *("penalties.x", "tasks.x", "tasks.segmentation.loss", "tasks.segmentation.metrics.x", "balance", "optimizer"),
    *("optimizer.betas", "scheduler", "network", "network.decoder", "network.backbone_options.act_layer"),
    "tasks.segmentation.adversary",
)

WORDS = (
    *("hydra.job.env_set.A=b", "+hydra.callbacks.x._target_=builtins.open", "~hydra.callbacks", "hydra/callbacks=evil"),
    *("+hydra={callbacks: {x: {_target_: builtins.open}}}", "+callbacks@hydra.callbacks=default", "-m", "seed=["),
    *("hydra.searchpath=[pkg://antigravity]", "hydra.sweeper._target_=builtins.open", "hydra.launcher.setup=[ls]"),
    *("hydra/launcher@hydra.callbacks.x=processes", "--config-dir=/elsewhere", "--experimental-rerun=x", "seed"),
)

PAPER: Mapping[str, Any] = {
    "name": "p",
    "title": "P",
    "studies": {"s": ["experiment=tiny"]},
    "budgets": {"b": {"about": "x"}},
    "tables": {"t": {"title": "T", "study": "s"}},
}


def _paper(key: str, name: str, folder: Path) -> object:
    node = {**PAPER, key: name if key == "name" else {name: {"table": "t"}}}
    if key not in ("name", "figures"):
        (value,) = PAPER[key].values()
        node[key] = {name: value}
    return read_paper(node)


ESCAPES = (
    *(
        Hostile(f"{program['_target_']} in {hidden}", partial(lambda where, node, _: build(node, where), where, node))
        for program in PROGRAMS
        for hidden, (where, node) in _hidden(program).items()
    ),
    *(Hostile(f"a run with a program in {key}", partial(_load_with, f"config.{key}", PROGRAMS[0])) for key in KEYS),
    *(
        Hostile(f"a run with {key}", partial(_load_with, f"config.network.backbone_options.{key}", "/elsewhere"))
        for key in ("checkpoint_path", "pretrained_cfg", "cache_dir")
    ),
    *(Hostile(f"a word: {word}", partial(lambda word, _: check_words([word], "it"), word)) for word in WORDS),
    *(
        Hostile(f"a word of a paper: {word}", partial(lambda word, _: filled([word], {}), word))
        for word in ("hydra.callbacks.x._target_=builtins.open", "--config-dir=/x", "-m")
    ),
    *(
        Hostile(f"paper.{key} named {name!r}", partial(_paper, key, name))
        for key in ("name", "tables", "figures", "budgets", "studies")
        for name in ("../../outside/evil", "/etc/evil", "..", "a\x1b[2J")
    ),
    *(Hostile(f"best.ckpt is {what}", partial(_restored, make)) for what, make in WEIGHTS.items()),
    *(
        Hostile(f"network.weights{ending} is {what}", partial(_started_from, make, ending))
        for what, make in WEIGHTS.items()
        for ending in (".ckpt", ".pth", ".safetensors")
    ),
)
"""Programs in configurations, runs, papers, words and weights."""


# ------------------------------------------------------------------------------------------------- archives and files

SLIPS = (
    *("../../outside/evil.json", "/evil.json", "a/../../outside/evil.json", "..\\..\\outside\\evil.json"),
    *("C:\\evil.json", "\\\\server\\evil.json", "a/..\\..\\..\\outside\\evil.json", "..", "./../evil.json"),
)


def _zip(name: str, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, "{}")


def _tar(name: str, path: Path, mode: str = "w", kind: bytes = tarfile.REGTYPE, link: str = "") -> None:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        info = tarfile.TarInfo(name)
        info.type, info.linkname, content = kind, link, b"{}" if kind == tarfile.REGTYPE else b""
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))


def _unpack(name: str, make: Act, folder: Path) -> object:
    make(folder / name)
    return folder_of(str(folder / name), str(folder / "cache"))


def _open_paper(make: Act, folder: Path) -> object:
    make(folder / "a.zip")
    return open_archive(folder / "a.zip", folder / "out")


def _zip_link(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("link.json")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "../../outside")


def _zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for number in range(3):
            with archive.open(f"{number}.json", "w") as file:
                for _ in range(archives.LEAST // 2 // 2**20 + 1):
                    file.write(bytes(2**20))


def _cut(path: Path) -> None:
    _zip("a.json", path)
    path.write_bytes(path.read_bytes()[:-10])


def _twice(path: Path) -> None:
    import warnings

    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr("a.json", "{}")
        archive.writestr("a.json", "[]")


def _encrypted(path: Path) -> None:
    _zip("a.json", path)
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)


ARCHIVES: Mapping[str, tuple[str, Act]] = {
    "a link in a zip": ("a.zip", _zip_link),
    "a bomb": ("a.zip", _zip_bomb),
    "a zip cut short": ("a.zip", _cut),
    "one name twice": ("a.zip", _twice),
    "an encrypted zip": ("a.zip", _encrypted),
    "text called zip": ("a.zip", lambda path: path.write_text("x")),
    "text called tar": ("a.tar.gz", lambda path: path.write_text("x")),
    "a link in a tar": ("a.tar", partial(_tar, "link", kind=tarfile.SYMTYPE, link="../../outside")),
    "a hard link in a tar": ("a.tar", partial(_tar, "link", kind=tarfile.LNKTYPE, link="/etc/hostname")),
    "a pipe in a tar": ("a.tar", partial(_tar, "pipe", kind=tarfile.FIFOTYPE)),
    "a device in a tar": ("a.tar", partial(_tar, "device", kind=tarfile.CHRTYPE)),
}

SPECIAL: Mapping[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "an endless device": lambda path: path.symlink_to("/dev/zero"),
}

READERS: Mapping[str, Callable[[Path], object]] = {
    "an image": open_image,
    "a fingerprint": lambda path: digest(path, "name"),
    "a digest": sha256,
    "json": read_json,
    "a table": read_splits,
    "arrays": read_npz,
}


def _special(make: Callable[[Path], object], read: Callable[[Path], object], folder: Path) -> object:
    make(folder / "x.png")
    return read(folder / "x.png")


def _png(width: int, height: int) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def _image(content: bytes, name: str, folder: Path) -> object:
    (folder / name).write_bytes(content)
    return open_image(folder / name)


def _arrays(folder: Path) -> object:
    np.savez(folder / "a.npz", train_images=np.array([Bomb()], dtype=object))
    return read_npz(folder / "a.npz")


def _results(text: str, folder: Path) -> object:
    run = Path(shutil.copytree(KEPT, folder / "run"))
    (run / "results.json").write_text(text)
    return restore(run)


def _formula(folder: Path) -> None:
    """A name that is a formula does not reach a table of ours as one."""
    from tandem.utils.names import as_cell

    text = io.StringIO()
    csv.writer(text).writerow([as_cell("=cmd|' /C calc'!A0")])
    assert not text.getvalue().lstrip('"').startswith("=")


def _place(place: str, folder: Path) -> object:
    job = {"study": "s", "overrides": [], "choices": {}, "place": place}
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("paper.json", json.dumps({"jobs": [job], "paper": dict(PAPER), "budget": "b"}))
    return open_archive(folder / "a.zip", folder / "out")


FILES = (
    *(
        Hostile(f"{name!r} in {ending}", partial(_unpack, f"a{ending}", make))
        for name in SLIPS
        for ending, make in {
            ".zip": partial(_zip, name), ".tar": partial(_tar, name), ".tar.gz": partial(_tar, name, mode="w:gz"),
        }.items()
    ),
    *(Hostile(f"{name!r} in a paper", partial(_open_paper, partial(_zip, name))) for name in SLIPS),
    *(Hostile(what, partial(_unpack, name, make)) for what, (name, make) in ARCHIVES.items()),
    *(
        Hostile(f"{what} as a paper", partial(_open_paper, make))
        for what, (name, make) in ARCHIVES.items() if name == "a.zip"
    ),
    *(Hostile(f"a paper's run at {place}", partial(_place, place)) for place in ("../out", "/abs", "a/../../b")),
    *(
        Hostile(f"{special} as {reader}", partial(_special, make, read))
        for special, make in SPECIAL.items()
        for reader, read in READERS.items()
    ),
    *(
        Hostile(f"a png of {width} x {height}", partial(_image, _png(width, height), "a.png"))
        for width, height in ((100_000, 100_000), (2**31 - 1, 1), (10_000, 9_000), (2**31 - 1, 2**31 - 1), (0, 0))
    ),
    *(
        Hostile(f"{what} as an image", partial(_image, content, name))
        for what, name, content in (
            ("a script", "a.png", b"#!/bin/sh\ntouch canary\n"), ("nothing", "a.png", b""),
            ("a PostScript program", "a.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
            ("half a png", "a.png", _png(64, 64)[:40]), ("a pickle", "a.tif", pickle.dumps(Bomb())),
        )
    ),
    Hostile("objects in arrays", _arrays),
    *(
        Hostile(f"results.json is {text[:12]}", partial(_results, text))
        for text in ("3", "[]", "null", "{}", "", "{", '{"config": 3}', "[" * 100_000, '{"config": []}', "\0\0")
    ),
    Hostile("a formula in a table", _formula, may_pass=True),
)  # fmt: skip
"""Archives, papers, images, arrays and results."""

TABLES: Mapping[str, tuple[Hostile, ...]] = {"escapes": ESCAPES, "archives and files": FILES}

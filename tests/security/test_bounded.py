"""Files that would never end, or become far larger than they look: refused at once, with nothing left behind."""

import gzip
import io
import os
import socket
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tandem.data.files import archives
from tandem.data.files.archives import folder_of
from tandem.data.files.cache import digest
from tandem.data.files.pillow_reader import open_image
from tandem.data.medmnist import read_npz
from tandem.data.splitting.splits import read_splits
from tandem.errors import DataError
from tandem.paper.archive import open_archive
from tandem.predict.found import find
from tandem.utils.files import read_json, sha256


def bound(path: Path) -> socket.socket:
    """A socket with a file; the file stays when it is closed."""
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(path))
    return made


SPECIAL: dict[str, Callable[[Path], object]] = {
    "a named pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a socket": lambda path: bound(path).close(),
}

READERS: dict[str, Callable[[Path], object]] = {
    "image": open_image,
    "fingerprint": lambda path: digest(path, "name"),
    "digest": sha256,
    "json": read_json,
    "table": read_splits,
    "arrays": read_npz,
}


@pytest.fixture
def short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A path that is short enough for a socket."""
    monkeypatch.chdir(tmp_path)
    return Path("x.png")


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_plain_file_is_not_opened(short: Path, kind: str, reader: str) -> None:
    SPECIAL[kind](short)
    with pytest.raises(DataError, match=rf"^'x\.png' is {kind}, not a file: remove it$"):
        READERS[reader](short)
    Path("link.png").symlink_to(short)
    with pytest.raises(DataError, match=rf"^'link\.png' is {kind}"):
        READERS[reader](Path("link.png"))


def test_a_pipe_among_images_is_one_that_fails(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    os.mkfifo(tmp_path / "images" / "a.png")
    (found,) = find(tmp_path / "images", tmp_path / "out")
    with pytest.raises(DataError, match="is a named pipe"):
        open_image(found.path)


def png(width: int, height: int) -> bytes:
    """An image file that claims a size, but holds almost no data."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(100_000, 100_000), (2**31 - 1, 1), (10_000, 9_000), (2**31 - 1, 2**31 - 1)])
def test_a_header_that_claims_gigapixels(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "a.png").write_bytes(png(*size))
    with pytest.raises(DataError, match=r"is too large .*shrink it below Pillow's limit"):
        open_image(tmp_path / "a.png")


ZEROS = bytes(1 << 20)


def zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(4):
            archive.writestr(f"{number}.json", ZEROS)


def tar_bomb(path: Path) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for number in range(4):
            info = tarfile.TarInfo(f"{number}.json")
            info.size = len(ZEROS)
            archive.addfile(info, io.BytesIO(ZEROS))


def lying_zip(path: Path) -> None:
    """Says that each member has one byte."""
    zip_bomb(path)
    content = path.read_bytes()
    path.write_bytes(content.replace(struct.pack("<I", len(ZEROS)), struct.pack("<I", 1)))


def many_members(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(50):
            archive.writestr(f"{number}.json", b"")


BOMBS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "zip": ("a.zip", zip_bomb),
    "tar": ("a.tar.gz", tar_bomb),
    "a header that lies": ("a.zip", lying_zip),
    "many members": ("a.zip", many_members),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bomb: str) -> None:
    monkeypatch.setattr(archives, "LEAST", 100_000)
    monkeypatch.setattr(archives, "MEMBERS", 40)
    name, make = BOMBS[bomb]
    make(tmp_path / name)
    with pytest.raises(DataError, match=r"becomes more than [\d,]+ bytes or 40 files: do not|cannot be unpacked"):
        folder_of(str(tmp_path / name), str(tmp_path / "cache"))
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert not list((tmp_path / "cache" / "unpacked").iterdir())
    if name.endswith(".zip"):
        with pytest.raises(DataError):
            open_archive(tmp_path / name, tmp_path / "out")
        assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_bytes_count_as_they_come_whatever_the_sizes_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zip_bomb(tmp_path / "a.zip")
    monkeypatch.setattr(archives, "LEAST", 100_000)
    monkeypatch.setattr(archives, "_counted", lambda path, members, limit: members)
    with pytest.raises(DataError, match="becomes more than"):
        folder_of(str(tmp_path / "a.zip"), str(tmp_path / "cache"))
    assert not list((tmp_path / "cache" / "unpacked").iterdir())


def test_an_archive_as_people_make_them_is_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("flat.bmp", ZEROS)  # masks shrink by a thousand too, but are small
    folder = folder_of(str(tmp_path / "a.zip"), str(tmp_path / "cache"))
    assert (folder / "flat.bmp").read_bytes() == ZEROS


def test_json_that_would_fill_the_memory(tmp_path: Path) -> None:
    with (tmp_path / "results.json").open("wb") as file:
        file.truncate(300_000_000)  # takes no room on the disk
    with pytest.raises(DataError, match=r"results\.json has 300,000,000 bytes, more than the 256,000,000"):
        read_json(tmp_path / "results.json")


def test_gzip_of_gzip_is_a_file_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(gzip.compress(ZEROS)))
    with pytest.raises(DataError, match="cannot be unpacked"):
        folder_of(str(tmp_path / "a.tar.gz"), str(tmp_path / "cache"))

"""A damaged file of a run is noticed: written again, or refused in one line; a short form of `make faults`."""

import logging
import re
import shutil
from pathlib import Path

import pytest
from tests.faults.damage import outcome
from tests.faults.setups import PHANTOM, again, killed, left, run

import tandem
from tandem.errors import DataError
from tandem.jobs import SWEEP_VARIABLE, SweepSummary
from tandem.jobs.outcome import SweepJob, monitored
from tandem.runs.ensemble_file import without_paths
from tandem.runs.folders import state_of
from tandem.runs.restore import restore
from tandem.study.runs import read_study
from tandem.utils.digests import DamagedError
from tandem.utils.files import write_json

WORDS = [*PHANTOM, "trainer.max_epochs=2"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    run(WORDS, folder)
    return folder


@pytest.fixture(scope="module")
def interrupted(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run as `kill -9` left it when the best epoch was about to be tested."""
    folder = tmp_path_factory.mktemp("interrupted") / "run"
    shutil.copytree(finished, folder)
    (folder / "results.json").unlink()
    return folder


@pytest.mark.parametrize(
    ("name", "kind"),
    [("results.json", "bit"), ("metrics.csv", "lost"), ("data.json", "cut"), ("splits.csv", "garbled")],
)
def test_a_file_of_a_finished_run_is_written_again(name: str, kind: str, finished: Path, tmp_path: Path) -> None:
    assert outcome(WORDS, finished, tmp_path / "run", name, kind, seed=1) == "equal"
    assert left(tmp_path / "run").differs(left(finished)) == []
    if name != "results.json":
        assert (tmp_path / "run" / name).read_bytes() == (finished / name).read_bytes()


@pytest.mark.parametrize(("name", "kind"), [("last.ckpt", "bit"), ("best.ckpt", "empty"), ("identity.json", "lost")])
def test_an_interrupted_run_ends_with_the_same_numbers(
    name: str, kind: str, finished: Path, interrupted: Path, tmp_path: Path
) -> None:
    assert outcome(WORDS, interrupted, tmp_path / "run", name, kind, seed=1) == "equal"
    assert left(tmp_path / "run").differs(left(finished)) == []


@pytest.mark.full
def test_a_damaged_last_checkpoint_says_that_it_falls_back(
    interrupted: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "tandem"):
        outcome(WORDS, interrupted, tmp_path / "run", "last.ckpt", "bit", seed=2)
    said = [record.getMessage() for record in caplog.records]
    assert any("last.ckpt is damaged (kept as last.ckpt.damaged)" in line for line in said)
    assert any("the one before it is used" in line for line in said)


def test_a_flipped_bit_in_the_weights_is_refused_in_one_line(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    content = bytearray((folder / "best.ckpt").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "best.ckpt").write_bytes(content)
    with pytest.raises(
        DamagedError, match=r"best.ckpt is damaged: its SHA-256 is not the one in .*artifacts.json"
    ) as error:
        restore(folder)
    assert "\n" not in str(error.value)


def test_a_run_without_digests_is_read(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "artifacts.json").unlink()
    assert restore(tmp_path / "run").results["epochs"] == 2


@pytest.mark.full
def test_leftovers_of_a_killed_writer_are_swept(tmp_path: Path) -> None:
    moment = run(WORDS, tmp_path / "whole").moments // 2
    assert killed(WORDS, tmp_path / "killed", moment)
    again(WORDS, tmp_path / "killed")
    assert list((tmp_path / "killed").glob(".*.tmp")) == []


def test_nothing_goes_through_the_folder_for_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/nonexistent")
    monkeypatch.setattr("tempfile.tempdir", None)
    run([*WORDS, "trainer.max_epochs=1"], tmp_path / "run")
    assert (tmp_path / "run" / "results.json").exists()


def test_data_that_change_under_a_run_stop_it(tmp_path: Path) -> None:
    from PIL import Image

    from tandem.data.files.faults import Faults
    from tandem.data.files.records import Decoder, Record
    from tandem.data.loading.storage import Storage

    files = [tmp_path / f"{name}.png" for name in "ab"]
    for file in files:
        Image.new("L", (16, 16), 100).save(file)
    (tmp_path / "cache").write_text("no folder, so that nothing is cached")
    records = [Record(file.stem, file, masks=((),)) for file in files]
    decoder = Decoder(16, 1, thumbnails=False)
    decoded = decoder.read(records, tmp_path, "x", Storage(str(tmp_path / "cache"), 0.0), Faults("fail"))
    assert bool((decoded.pixels["images"][[0, 1]] == 100).all())
    files[1].write_bytes(b"garbled")
    with pytest.raises(DataError, match=r"b.png' changed while the data were in use: restore it"):
        decoded.pixels["images"][[0, 1]]
    files[1].unlink()
    with pytest.raises(DataError, match=r"b.png' was removed while"):
        decoded.pixels["images"][[1]]
    assert bool((decoded.pixels["images"][[0]] == 100).all())


def test_a_changed_digit_of_a_result_enters_no_table(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "runs" / "run"
    shutil.copytree(finished, folder)
    text = (folder / "results.json").read_text()
    digit = text.index("0.", text.index('"val/segmentation/dice"')) + 2
    changed = str((int(text[digit]) + 1) % 10)
    (folder / "results.json").write_text(text[:digit] + changed + text[digit + 1 :])
    write_json(folder / "status.json", {"state": "finished", "sweep": "s", "job": 0, "overrides": ["seed=1"]})

    job = SweepJob(0, "seed=1", ("seed=1",), (), str(folder), str(tmp_path), "s", "val/segmentation/dice")
    assert monitored(job) is None
    monkeypatch.setenv(SWEEP_VARIABLE, "s")
    assert not SweepSummary().print_summary([tmp_path / "runs"])
    printed = capsys.readouterr()
    assert "sweep: 0 finished, 1 failed" in printed.err
    assert "results.json is damaged" in " ".join(printed.err.split())
    assert read_study([tmp_path / "runs"]).runs == ()
    assert state_of(folder).state == "unreadable"
    with pytest.raises(DamagedError):
        without_paths(folder / "results.json")
    with pytest.raises(DamagedError):
        restore(folder)


def test_results_are_read_in_one_way() -> None:
    """Whoever reads the results of a run compares their digest; the self-test trains the run that it reads itself."""
    found = {
        path.name
        for path in Path(tandem.__file__).parent.rglob("*.py")
        if re.search(r"read_json\([^()]*RESULTS", path.read_text())
    }
    assert found == {"self_test.py"}

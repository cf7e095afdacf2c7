"""What a run says before it trains."""

import logging
from pathlib import Path

import pytest
from tests.train.test_checks import configuration

from tandem.factory import make_data, make_module, make_trainer
from tandem.train import announce
from tandem.train.run import check_config

CONVERTS = (
    "trainer.precision={}: this processor has no bfloat16 instructions, so training may take several times as long as "
    "in float32; set trainer.precision=32-true, or performance=auto with trainer.precision left out"
)


@pytest.mark.parametrize(
    ("asked", "used", "device", "native", "warns"),
    [
        ("bf16-mixed", "bf16-mixed", "cpu", False, True),
        ("16-mixed", "bf16-mixed", "cpu", False, True),  # on a CPU, Lightning computes in bfloat16 for both
        ("bf16-mixed", "bf16-mixed", "cpu", True, False),
        ("32-true", "32-true", "cpu", False, False),
        ("64-true", "64-true", "cpu", False, False),
        ("bf16-mixed", "bf16-mixed", "cuda", False, False),
        ("16-mixed", "16-mixed", "cuda", False, False),
    ],
)
def test_a_precision_that_the_processor_converts_is_named(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    asked: str,
    used: str,
    device: str,
    native: bool,
    warns: bool,
) -> None:
    monkeypatch.setattr(announce, "native_bfloat16", lambda: native)
    announce._warn_of_converting(asked, used, device)
    assert [record.getMessage() for record in caplog.records] == ([CONVERTS.format(asked)] if warns else [])


@pytest.mark.parametrize(("precision", "lines"), [("bf16-mixed", 1), ("32-true", 0)])
def test_a_run_says_so_once(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    precision: str,
    lines: int,
) -> None:
    monkeypatch.setattr(announce, "native_bfloat16", lambda: False)
    config = configuration(f"trainer.precision={precision}", "trainer.accelerator=cpu")
    check_config(config)
    data = make_data(config)
    data.setup()
    module, trainer = make_module(config, data.info), make_trainer(config, tmp_path)
    caplog.set_level(logging.INFO)
    announce.announce_run(config, data, module, trainer, None)
    assert sum("bfloat16 instructions" in record.getMessage() for record in caplog.records) == lines

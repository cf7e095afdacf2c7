"""What this machine has, for processors that it is not."""

import pytest
import torch

from tandem.utils.machine import native_bfloat16


@pytest.mark.parametrize(
    ("known", "onednn", "native"),
    [
        ({"architecture": "x86_64", "avx2": True}, False, False),
        ({"architecture": "x86_64", "avx512_f": True, "avx512_bf16": False}, True, False),  # oneDNN converts
        ({"architecture": "x86_64", "avx512_bf16": True}, True, True),
        ({"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": True}, True, True),
        ({"architecture": "aarch64"}, True, True),
        ({"architecture": "aarch64"}, False, False),
        ({}, False, False),
    ],
)
def test_bfloat16_is_native_where_the_processor_has_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch, known: dict[str, object], onednn: bool, native: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: onednn)
    assert native_bfloat16() is native


def test_this_processor_answers() -> None:
    known = torch.cpu.get_capabilities()
    assert "architecture" in known
    if known["architecture"] == "x86_64":  # the keys exist: a renamed one would be read as absent
        assert {"avx512_bf16", "amx_bf16"} <= known.keys()
    if native_bfloat16():
        assert torch.ops.mkldnn._is_mkldnn_bf16_supported()

"""One split in memory: matching parts, the content of a batch, and the fingerprint."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tandem.data.samples import Samples
from tandem.errors import DataError

Make = Callable[..., Samples]


def parts(count: int = 3, size: tuple[int, int] = (4, 5)) -> dict[str, Any]:
    """The arguments of a small split."""
    return {
        "images": torch.arange(count * 2 * size[0] * size[1]).view(count, 2, *size).to(torch.uint8),
        "labels": torch.arange(count),
        "masks": torch.zeros(count, 1, *size, dtype=torch.uint8),
        "ids": tuple("abcdefgh"[:count]),
    }


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"ids": ("a", "b")}, r"^2 ids, but \{'images': 3, 'labels': 3, 'masks': 3\}: every sample needs exactly one"),
    ({"labels": torch.arange(4)}, r"^3 ids, but \{'labels': 4\}"),
    ({"masks": torch.zeros(2, 1, 4, 5, dtype=torch.uint8)}, r"^3 ids, but \{'masks': 2\}"),
    ({"images": torch.zeros(1, 2, 4, 5, dtype=torch.uint8)}, r"^3 ids, but \{'images': 1\}"),
    ({"groups": ("g", "g")}, r"^3 ids, but \{'groups': 2\}"),
    (
        {"images": torch.zeros(3, 2, 4, 5)},
        r"^images are torch\.float32, but must be uint8, or uint16 or float32 with levels$",
    ),
    ({"labels": torch.zeros(3, dtype=torch.int32)}, r"^labels are torch\.int32, but must be torch\.int64$"),
    ({"masks": torch.zeros(3, 1, 4, 5, dtype=torch.bool)}, r"^masks are torch\.bool, but must be torch\.uint8$"),
    ({"masks": torch.zeros(3, 1, 5, 4, dtype=torch.uint8)}, r"masks \(3, 1, 5, 4\): need \(N, C, H, W\), \(N,\) and"),
    ({"findings": torch.zeros(2, 4, dtype=torch.uint8)}, r"^3 ids, but \{'findings': 2\}"),
    ({"findings": torch.zeros(3, 4)}, r"^findings are torch\.float32, but must be torch\.uint8$"),
    ({"findings": torch.zeros(3, dtype=torch.uint8)}, r"need the shapes \(N, L\) and \(N,\)$"),
    ({"columns": {"age": torch.zeros(2)}}, r"^3 ids, but \{'columns\.age': 2\}"),
    (
        {"columns": {"age": torch.zeros(3, dtype=torch.int64)}},
        r"^columns\.age are torch\.int64, but must be torch\.flo",
    ),
    ({"columns": {"age": torch.zeros(3, 1)}}, r"need the shapes"),
    ({"masks": torch.zeros(3, 4, 5, dtype=torch.uint8)}, r"masks \(3, 4, 5\): need"),
    ({"images": torch.zeros(3, 4, 5, dtype=torch.uint8)}, r"^images \(3, 4, 5\), labels \(3,\), masks .*: need"),
    ({"labels": torch.zeros(3, 1, dtype=torch.int64)}, r"labels \(3, 1\)"),
]


@pytest.mark.parametrize(("change", "message"), FAULTS, ids=[message for _, message in FAULTS])
def test_parts_that_do_not_belong_together_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Samples(**{**parts(), **change})


def test_groups_may_be_left_out() -> None:
    assert Samples(**parts()).groups == ()
    assert Samples(**parts(), groups=("g", "g", "h")).groups == ("g", "g", "h")


def test_an_empty_split_can_be_held() -> None:
    samples = Samples(**parts(0))
    assert len(samples) == 0
    assert samples.take([])["image"].shape == (0, 2, 4, 5)


# ----------------------------------------------------------------------------------------------------------------- take


def test_a_batch_holds_the_rows_in_the_order_asked_for() -> None:
    samples = Samples(**parts())
    batch = samples.take([2, 0, 2])
    assert batch["id"] == ["c", "a", "c"]
    assert batch["label"].tolist() == [2, 0, 2]
    assert torch.equal(batch["mask"], samples.masks[[2, 0, 2]])
    assert torch.equal(batch["image"], samples.images[[2, 0, 2]].float() / 255)
    assert set(batch) == {"image", "label", "mask", "id"}


def test_further_targets_are_in_a_batch_where_the_data_set_has_them() -> None:
    findings = torch.tensor([[0, 1], [1, 255], [0, 0]], dtype=torch.uint8)
    age = torch.tensor([30.0, float("nan"), 50.0])
    none = torch.zeros(3, 0, 4, 5, dtype=torch.uint8)
    samples = Samples(**{**parts(), "masks": none, "findings": findings, "columns": {"age": age}})
    batch = samples.take([1, 2])
    assert set(batch) == {"image", "label", "findings", "columns", "id"}
    assert torch.equal(batch["findings"], findings[1:])
    assert batch["columns"]["age"].isnan().tolist() == [True, False]
    assert len(samples.fingerprint()) == 64
    changed = Samples(**{**parts(), "masks": none, "findings": 1 - findings, "columns": {"age": age}})
    assert changed.fingerprint() != samples.fingerprint()


def test_several_mask_channels() -> None:
    masks = torch.randint(0, 2, (3, 2, 4, 5), dtype=torch.uint8)
    assert torch.equal(Samples(**{**parts(), "masks": masks}).take([2])["mask"], masks[2:])


def test_types_of_a_batch() -> None:
    batch = Samples(**parts()).take(torch.tensor([1]))
    assert (batch["image"].dtype, batch["label"].dtype, batch["mask"].dtype) == (
        torch.float32,
        torch.int64,
        torch.uint8,
    )


def test_grey_values_reach_from_0_to_1_exactly() -> None:
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).view(3, 1, 1, 1).expand(3, 2, 4, 5).contiguous()
    grey = Samples(**{**parts(), "images": images}).take([0, 1, 2])["image"][:, 0, 0, 0]
    assert grey.tolist() == [0.0, pytest.approx(0.2), 1.0]


def test_changing_a_batch_does_not_change_the_split() -> None:
    samples = Samples(**parts())
    before = samples.fingerprint()
    batch = samples.take([0, 1])
    for key in ("image", "label", "mask"):
        batch[key].zero_()
        batch[key].add_(1)
    assert samples.fingerprint() == before


def test_a_missing_row_is_an_error() -> None:
    with pytest.raises(IndexError):
        Samples(**parts()).take([3])


# ---------------------------------------------------------------------------------------------------------- fingerprint


def test_equal_data_have_equal_fingerprints_whatever_their_memory_layout() -> None:
    given_parts = parts()
    strided = {**given_parts, "images": given_parts["images"].transpose(2, 3).contiguous().transpose(2, 3)}
    assert not strided["images"].is_contiguous()
    assert Samples(**strided).fingerprint() == Samples(**given_parts).fingerprint()


@given(st.sampled_from(["images", "masks", "labels"]), st.data())
def test_every_single_value_counts(name: str, data: st.DataObject) -> None:
    samples = Samples(**parts())
    before = samples.fingerprint()
    flat = getattr(samples, name).view(-1)
    place = data.draw(st.integers(0, len(flat) - 1))
    flat[place] += 1
    assert samples.fingerprint() != before
    flat[place] -= 1
    assert samples.fingerprint() == before


def test_names_shapes_and_order_count() -> None:
    found = {Samples(**parts()).fingerprint()}
    given_parts = parts()
    found.add(Samples(**{**given_parts, "ids": ("a", "b", "d")}).fingerprint())
    found.add(
        Samples(
            **{key: part[::-1] if key == "ids" else part.flip(0) for key, part in given_parts.items()}
        ).fingerprint()
    )
    turned = {key: given_parts[key].view(3, -1, 5, 4) for key in ("images", "masks")}
    found.add(Samples(**{**given_parts, **turned}).fingerprint())
    assert len(found) == 4


def test_a_fingerprint_is_a_sha256(tiny_samples: Make) -> None:
    assert len(bytes.fromhex(tiny_samples(4).fingerprint())) == 32

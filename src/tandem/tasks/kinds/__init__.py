"""Kinds of target: what a task of each kind does, as plain data that the commands render."""

from tandem.tasks.kinds.class_label import ClassAnswer, ClassLabel
from tandem.tasks.kinds.class_mask import ClassMask, ClassMaskAnswer
from tandem.tasks.kinds.embedding import Embedding, VectorAnswer
from tandem.tasks.kinds.kind import Answer, DenseAnswer, Kind, Question
from tandem.tasks.kinds.mask import Mask, MaskAnswer
from tandem.tasks.kinds.number import Number, NumberAnswer
from tandem.tasks.kinds.raw import Raw, RawAnswer, RawMap, RawMapAnswer
from tandem.tasks.kinds.yes_no import YesNo, YesNoAnswer

__all__ = [
    "Answer",
    "ClassAnswer",
    "ClassLabel",
    "ClassMask",
    "ClassMaskAnswer",
    "DenseAnswer",
    "Embedding",
    "Kind",
    "Mask",
    "MaskAnswer",
    "Number",
    "NumberAnswer",
    "Question",
    "Raw",
    "RawAnswer",
    "RawMap",
    "RawMapAnswer",
    "VectorAnswer",
    "YesNo",
    "YesNoAnswer",
    "kind_of",
]

KNOWN: tuple[Kind, ...] = (YesNo(), Mask(), ClassLabel(), ClassMask(), Number(), Embedding())


def kind_of(name: str, dense: bool) -> Kind:
    """Returns the `Kind` of a name; an unknown kind falls back on raw values.

    Args:
        name: the kind of the task and its loss, such as `binary`.
        dense: whether the task predicts each pixel.

    Example:
        >>> kind_of("binary", True), kind_of("ordinal", False)
        (Mask(name='binary', dense=True), Raw(name='ordinal', dense=False))
    """
    for kind in KNOWN:
        if (kind.name, kind.dense) == (name, dense):
            return kind
    return RawMap(name) if dense else Raw(name)

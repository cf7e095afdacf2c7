"""The two kinds of file: how each is written and asked."""

import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from tandem.export.program import quiet
from tandem.utils.optional import load

if TYPE_CHECKING:
    from torch.export import ExportedProgram

Ask = Callable[[Tensor], list[Tensor]]
"""A file as a function: a uint8 batch to its outputs."""


class Format(ABC):
    """A kind of file.

    Attributes:
        suffix: that its files have.
    """

    suffix: ClassVar[str]

    @abstractmethod
    def pack(self, program: "ExportedProgram", names: Sequence[str], said: Mapping[str, str]) -> bytes:
        """What the file will hold.

        Args:
            program: of tensors alone.
            names: of its outputs.
            said: metadata.
        """

    @abstractmethod
    def open(self, content: bytes) -> Ask:
        """The file's content as its users run it, without tandem."""


class Onnx(Format):
    """ONNX, run by ONNX Runtime; metadata in `metadata_props`. Needs the extra `export`."""

    suffix = ".onnx"

    def __init__(self) -> None:
        self.onnx = load("onnx", "export", "format=onnx")
        self.runtime = load("onnxruntime", "export", "format=onnx")
        load("onnxscript", "export", "format=onnx")

    def pack(self, program: "ExportedProgram", names: Sequence[str], said: Mapping[str, str]) -> bytes:
        """Weights included, so that one file is enough."""
        with quiet():
            exported = torch.onnx.export(
                program, input_names=["image"], output_names=list(names), dynamo=True, verbose=False, optimize=True
            )
        assert exported is not None
        model = exported.model_proto
        self.onnx.helper.set_model_props(model, dict(said))
        self.onnx.checker.check_model(model)
        content: bytes = model.SerializeToString()
        return content

    def open(self, content: bytes) -> Ask:
        """By ONNX Runtime on the CPU."""
        session = self.runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
        return lambda image: [torch.from_numpy(value) for value in session.run(None, {"image": image.numpy()})]


class Torch(Format):
    """A program of `torch.export`, for `torch.export.load`; metadata as extra files of the archive."""

    suffix = ".pt2"

    def pack(self, program: "ExportedProgram", names: Sequence[str], said: Mapping[str, str]) -> bytes:
        """One archive."""
        file = io.BytesIO()
        with quiet():
            torch.export.save(program, file, extra_files=dict(said))
        return file.getvalue()

    def open(self, content: bytes) -> Ask:
        """By torch alone."""
        with quiet():
            program = torch.export.load(io.BytesIO(content)).module()
        return lambda image: list(program(image))


FORMATS: Mapping[str, type[Format]] = {"onnx": Onnx, "torch": Torch}
"""By the name that is typed."""

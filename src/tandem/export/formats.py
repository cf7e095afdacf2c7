"""The two file formats: how each is written and run."""

import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from tandem.errors import DataError
from tandem.export.program import quiet
from tandem.utils.optional import load

if TYPE_CHECKING:
    from torch.export import ExportedProgram

Ask = Callable[[Tensor], list[Tensor]]
"""An exported file as a function: maps a batch to its outputs."""

SILENT = 4
"""ONNX Runtime logs fatal errors alone."""


class Format(ABC):
    """A file format.

    Attributes:
        suffix: suffix of its files.
    """

    suffix: ClassVar[str]

    @abstractmethod
    def pack(self, program: "ExportedProgram", names: Sequence[str], properties: Mapping[str, str]) -> bytes:
        """Returns the content of the file.

        Args:
            program: the exported program.
            names: names of its outputs.
            properties: metadata, strings by key.
        """

    @abstractmethod
    def open(self, content: bytes) -> Ask:
        """Loads the file's content as its users do, without tandem."""


class Onnx(Format):
    """ONNX, run by ONNX Runtime; metadata in `metadata_props`. Needs the extra `export`."""

    suffix = ".onnx"

    def __init__(self) -> None:
        self.onnx = load("onnx", "export", "format=onnx")
        self.runtime = load("onnxruntime", "export", "format=onnx")
        load("onnxscript", "export", "format=onnx")

    def pack(self, program: "ExportedProgram", names: Sequence[str], properties: Mapping[str, str]) -> bytes:
        """Exports the program with its weights in one file."""
        with quiet():
            exported = torch.onnx.export(
                program, input_names=["image"], output_names=list(names), dynamo=True, verbose=False, optimize=True
            )
        assert exported is not None
        model = exported.model_proto
        self.onnx.helper.set_model_props(model, dict(properties))
        self.onnx.checker.check_model(model)
        content: bytes = model.SerializeToString()
        return content

    def open(self, content: bytes) -> Ask:
        """Loads the content with ONNX Runtime on the CPU."""
        options = self.runtime.SessionOptions()
        options.log_severity_level = SILENT  # an error is raised too, and becomes one line
        try:
            session = self.runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's own classes of errors have no common base
            raise DataError(f"ONNX Runtime cannot open this network: {' '.join(str(error).split())[:200]}") from error

        def ask(image: Tensor) -> list[Tensor]:
            try:
                found = session.run(None, {"image": image.numpy()})
            except Exception as error:  # as above
                reason = " ".join(str(error).split())[:200]
                raise DataError(f"ONNX Runtime cannot run this network ({reason}); use format=torch") from error
            return [torch.from_numpy(value) for value in found]

        return ask


class Torch(Format):
    """A program of `torch.export`, for `torch.export.load`; metadata as extra files of the archive."""

    suffix = ".pt2"

    def pack(self, program: "ExportedProgram", names: Sequence[str], properties: Mapping[str, str]) -> bytes:
        """Saves the program as one archive."""
        file = io.BytesIO()
        with quiet():
            torch.export.save(program, file, extra_files=dict(properties))
        return file.getvalue()

    def open(self, content: bytes) -> Ask:
        """Loads the content with torch alone."""
        with quiet():
            program = torch.export.load(io.BytesIO(content)).module()
        return lambda image: list(program(image))


FORMATS: Mapping[str, type[Format]] = {"onnx": Onnx, "torch": Torch}
"""The formats by option name."""

"""From a trained module to a program of tensors alone, and what must be said about it."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from tandem.errors import DataError
from tandem.network.protocol import network_stride, normalisation
from tandem.runs.inference import Inference
from tandem.runs.restore import TrainedRun

if TYPE_CHECKING:
    from torch.export import ExportedProgram

log = logging.getLogger(__name__)

MOST = 64
"""Pictures in a batch, and strides in a side, that an exported program takes at most."""


def trace(inference: Inference, channels: int, size: int) -> tuple["ExportedProgram", bool]:
    """The module as a program for batches of any number of pictures.

    Args:
        inference: to be traced.
        channels: of a picture.
        size: side of the pictures that the network was trained on.

    Returns:
        The program, and whether it takes any multiple of the network's stride as height and width; otherwise it takes
        pictures of `size` alone.

    Raises:
        DataError: the network holds what no program can.
    """
    stride = network_stride(inference.module.network)
    batch = torch.export.Dim("batch", min=1, max=MOST)
    height, width = (stride * torch.export.Dim(name, min=2, max=MOST) for name in ("rows", "columns"))
    free = {0: batch, 2: height, 3: width}
    ways: list[tuple[dict[int, Any], tuple[int, int]]] = [({0: batch}, (size, size))]
    if size >= 2 * stride:  # to the tracer one stride is a constant
        ways.insert(0, (free, (3 * stride, 4 * stride)))
    for shapes, sides in ways:
        image = torch.zeros(2, channels, *sides, dtype=torch.uint8)
        try:
            with quiet():
                return torch.export.export(inference, (image,), dynamic_shapes=(shapes,)), shapes is free
        except Exception as error:  # whatever torch's tracer meets inside a third party's network
            reason = " ".join(str(error).split())[:200]
            if shapes is not free:
                raise DataError(f"this network cannot be exported: {reason}") from error
            log.debug("not for any size: %s", reason)
    raise AssertionError


@contextmanager
def quiet() -> Iterator[None]:
    """Without the exporters' advice to their own developers."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        for message in (r".*isinstance\(treespec, LeafSpec\)", "No complete tensor found in the group"):
            warnings.filterwarnings("ignore", message=message)
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def metadata(run: TrainedRun, inference: Inference, any_size: bool) -> dict[str, str]:
    """What a file says of itself: how to feed it, and how to read what it gives; texts, each of them JSON.

    Args:
        run: that is exported.
        inference: its module.
        any_size: whether the program takes pictures of any multiple of the stride.
    """
    stride, normalised = network_stride(inference.module.network), normalisation(inference.module.network)
    size = run.config["data"].get("size")
    tasks = {name: task.question().description for name, task in inference.module.tasks.items()}
    said = {
        "input": {
            "name": "image",
            "layout": "batch, channel, row, column",
            "type": "uint8, 0 to 255",
            "channels": run.info.channels,
            "size": size,
            "sides": f"any multiple of {stride} from {2 * stride}" if any_size else f"{size} alone",
        },
        "outputs": list(inference.names),
        "tasks": tasks,
        "classes": list(run.info.classes),
        "normalisation": None if normalised is None else {**normalised, "of": 255},
        "data": {"name": run.info.name, **run.results["data"]},
        "run": {key: run.results[key] for key in ("name", "hash", "seed", "monitor", "best_epoch", "git")},
    }
    return {f"tandem.{key}": json.dumps(value) for key, value in said.items()}

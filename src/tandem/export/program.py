"""Exports a trained module to a program of tensor operations, and describes it in metadata."""

import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from tandem.data.files.placement import fit_of
from tandem.data.files.raster import Levels
from tandem.errors import DataError
from tandem.export.pooling import exportable_pooling
from tandem.network.protocol import network_stride, normalisation
from tandem.runs.inference import Inference
from tandem.runs.restore import TrainedRun

if TYPE_CHECKING:
    from torch.export import ExportedProgram

log = logging.getLogger(__name__)

PREPARED = {
    "squash": "stretch the image to the square; bilinear with antialiasing",
    "pad": "keep the aspect ratio: put the image, of height H and width W, into the middle of a square of side "
    "S = max(H, W), first row (S - H) // 2, first column (S - W) // 2; resize the square, bilinear with antialiasing; "
    "cells outside the image are black; cut maps of answers likewise",
    "crop": "keep the aspect ratio: take the central square of side S = min(H, W), first row (H - S) // 2, first "
    "column (W - S) // 2, and resize it, bilinear with antialiasing; nothing is known of the rest of the image",
    "native": "keep the pixels: put the middle of the image, of height H and width W, into the middle of the square "
    "of side S, first row (S - H) / 2, first column (S - W) / 2, both rounded towards 0; "
    "what is no image is black; nothing is known of the rest of the image; cut maps of answers likewise",
}
"""What an image needs before it enters the program, by `data.fit`."""

MOST = 64
"""Largest batch size, and largest side in strides, of an exported program."""


def trace(inference: Inference, channels: int, size: int) -> tuple["ExportedProgram", bool]:
    """Exports the module as a program for batches of any size.

    Args:
        inference: the module to trace.
        channels: number of image channels.
        size: side of the training images.

    Returns:
        The program, and whether it accepts any multiple of the network's stride as height and width; if not, it accepts
        only images of `size`.

    Raises:
        DataError: if the network cannot be exported.
    """
    stride = network_stride(inference.module.network)
    batch = torch.export.Dim("batch", min=1, max=MOST)
    height, width = (stride * torch.export.Dim(name, min=2, max=MOST) for name in ("rows", "columns"))
    free = {0: batch, 2: height, 3: width}
    ways: list[tuple[dict[int, Any], tuple[int, int]]] = [({0: batch}, (size, size))]
    if size >= 2 * stride:  # the tracer treats a side of one stride as a constant
        ways.insert(0, (free, (3 * stride, 4 * stride)))
    for shapes, sides in ways:
        image = torch.zeros(2, channels, *sides, dtype=inference.dtype)
        try:
            with quiet(), exportable_pooling(inference):
                return torch.export.export(inference, (image,), dynamic_shapes=(shapes,)), shapes is free
        except Exception as error:  # the tracer may raise anything inside a third party's network
            reason = " ".join(str(error).split())[:200]
            if shapes is not free:
                raise DataError(f"this network cannot be exported: {reason}") from error
            log.debug("cannot be exported for any size: %s", reason)
    raise AssertionError


@contextmanager
def quiet() -> Iterator[None]:
    """Suppresses warnings that the exporters address to their own developers."""
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
    """Returns the metadata of a file: its inputs and how to read its outputs; each value is a JSON string.

    Args:
        run: the exported run.
        inference: its module.
        any_size: whether the program accepts images of any multiple of the stride.
    """
    stride, normalised = network_stride(inference.module.network), normalisation(inference.module.network)
    size = run.config["data"].get("size")
    tasks = {name: task.question().description for name, task in inference.module.tasks.items()}
    found = {
        "input": {
            "name": "image",
            "layout": "batch, channel, row, column",
            "type": _type(run.levels),
            **({"black": run.levels[0][0], "white": run.levels[0][1]} if len(run.levels) == 1 else {}),
            "channels": run.info.channels,
            "size": size,
            "fit": PREPARED[fit_of(run.config["data"])],
            "sides": f"any multiple of {stride} from {2 * stride}" if any_size else f"{size} alone",
        },
        "outputs": list(inference.names),
        "tasks": tasks,
        "classes": list(run.info.classes),
        "normalisation": None if normalised is None else {**normalised, "of": 255},
        "data": {"name": run.info.name, **run.results["data"]},
        "run": {key: run.results[key] for key in ("name", "hash", "seed", "monitor", "best_epoch", "git")},
    }
    return {f"tandem.{key}": json.dumps(value) for key, value in found.items()}


def _type(levels: Sequence[Levels]) -> str:
    """Describes what the program takes."""
    if not levels:
        return "uint8, 0 to 255"
    if len(levels) == 1:
        return "float32, the levels of image files of more than 8 bits; the program maps black to 0 and white to 1"
    pairs = ", ".join(f"{low:g} to {high:g}" for low, high in levels)
    return f"float32 in [0, 1]; the data sets' levels of black and white are {pairs}"

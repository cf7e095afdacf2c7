"""Predicts images with finished runs, as a Python function."""

import logging
import os
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tandem.data.files.placement import Placement
from tandem.data.files.raster import to_unit
from tandem.decisions.asked import STORED, read_source
from tandem.decisions.wanted import check_threshold, read_threshold
from tandem.errors import ConfigError, DataError
from tandem.predict.ensemble import Ensemble, Parts
from tandem.predict.settings import check_one
from tandem.runs.chosen import run_folders
from tandem.runs.overlap import NONE, read_windows
from tandem.runs.views import View, open_any
from tandem.tasks.kinds import Answer, Question

log = logging.getLogger(__name__)

T = TypeVar("T")
S = TypeVar("S")

THREADS = 8
"""Largest number of threads that decode and write."""


@dataclass(frozen=True)
class Prediction:
    """The prediction for one image.

    Attributes:
        width: width of the upright image in pixels.
        height: likewise.
        answers: answers by task; see `tandem.tasks.kinds`.
        spacing: height and width of a pixel in millimetres; None if the file does not state them.
    """

    width: int
    height: int
    answers: Mapping[str, Answer]
    spacing: tuple[float, float] | None = None

    def __getitem__(self, task: str) -> Any:
        """Returns the answer of a task; its class depends on the task's kind."""
        return self.answers[task]


@dataclass(frozen=True)
class _Decoded:
    """A decoded image: its size, that of its pixels, and the arrays for the networks."""

    width: int
    height: int
    spacing: tuple[float, float] | None
    arrays: Mapping[View, NDArray[Any]]


class Predictor:
    """Predicts images with finished runs; made by `tandem.load`.

    Args:
        ensemble: the ensemble of the runs.
    """

    def __init__(self, ensemble: Ensemble) -> None:
        self.ensemble = ensemble
        self.options = {view.options for view in ensemble.views}
        self.said: set[str] = set()

    @property
    def questions(self) -> tuple[Question, ...]:
        """The questions that are answered: tasks with the names of their channels and their thresholds."""
        return self.ensemble.questions

    def predict(self, images: Any, batch_size: int = 16) -> list[Prediction]:
        """Predicts images, in their order. Masks and maps have the size of each image.

        Maps of probabilities are resized bilinearly (with antialiasing where they shrink), then thresholded.

        Args:
            images: one image or any number of them, see `tandem.runs.views.open_any`: paths, Pillow images,
                arrays (H, W) or (H, W, C), tensors (H, W) or (C, H, W); or an array (N, H, W, C) or tensor
                (N, C, H, W).
            batch_size: number of images per batch.

        Raises:
            DataError: if something is not an image, or a file cannot be read.
        """
        one = isinstance(images, str | Path) or (hasattr(images, "size") and getattr(images, "ndim", 2) <= 3)
        found: list[Prediction] = []
        with closing(self.each([images] if one else images, batch_size, lambda _, prediction: prediction)) as answered:
            for _, prediction in answered:
                if isinstance(prediction, DataError):
                    raise prediction
                found.append(prediction)
        return found

    def each(
        self, sources: Iterable[S], batch_size: int, use: Callable[[S, Prediction], T]
    ) -> Generator[tuple[S, T | DataError], None, None]:
        """Predicts images one after the other, with at most two batches in memory.

        Args:
            sources: the images.
            batch_size: number of images per batch.
            use: called in a thread with each image and its prediction.

        Yields:
            Each image, in order, with the result of `use` or an error.

        Raises:
            ConfigError: if the batch size is below 1.
        """
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}, but must be at least 1")
        threads = min(THREADS, os.cpu_count() or 1)
        with _bombs_are_errors(), ThreadPoolExecutor(threads, "tandem-predict") as pool:
            try:
                decoded = _ahead(pool, self._decode, sources, 2 * batch_size)
                while batch := list(islice(decoded, batch_size)):
                    yield from self._answer(pool, batch, use)
            finally:
                pool.shutdown(cancel_futures=True)

    def _decode(self, source: Any) -> _Decoded | DataError:
        name = str(source) if isinstance(source, str | Path) else "in memory"
        try:
            rasters = {options: open_any(source, options) for options in self.options}
            arrays = {view: view.of(rasters[view.options], name) for view in self.ensemble.prepared}
        except DataError as error:
            return error
        for view in self.ensemble.views:
            for kind, line in view.remarks(rasters[view.options]).items():
                if kind not in self.said:
                    self.said.add(kind)
                    log.warning("image %r %s", name, line)
        first = next(iter(rasters.values()))
        return _Decoded(*first.size, first.spacing, arrays)

    def _answer(
        self,
        pool: ThreadPoolExecutor,
        batch: Sequence[tuple[S, _Decoded | DataError]],
        use: Callable[[S, Prediction], T],
    ) -> Iterator[tuple[S, T | DataError]]:
        seen = [image for _, image in batch if isinstance(image, _Decoded)]
        parts: Parts = {}
        if seen:
            parts = self.ensemble(
                {view: _alike([image.arrays[view] for image in seen]) for view in self.ensemble.prepared}
            )

        def finish(source: S, row: int) -> T | DataError:
            try:
                return use(source, self._prediction(seen[row], row, parts))
            except DataError as error:
                return error

        rows = iter(range(len(seen)))
        jobs = [
            (source, image if isinstance(image, DataError) else pool.submit(finish, source, next(rows)))
            for source, image in batch
        ]
        for source, job in jobs:
            yield source, job.result() if isinstance(job, Future) else job

    def _prediction(self, seen: _Decoded, row: int, parts: Parts) -> Prediction:
        answers = {}
        places = [view.place(seen.height, seen.width) for view in self.ensemble.views]
        for question in self.questions:
            values = combined(parts[question.name], row, places).numpy()
            if not np.isfinite(values).all():
                raise DataError(f"the prediction of task '{question.name}' is not finite (nan); train the run again")
            answers[question.name] = question.read(values)
        return Prediction(seen.width, seen.height, answers, seen.spacing)


def _alike(arrays: Sequence[NDArray[Any]]) -> list[Tensor]:
    """Uint8 images and float32 images in [0, 1] as tensors: all uint8 if all of them are, else float32 in [0, 1]."""
    parts = [torch.from_numpy(array) for array in arrays]
    if any(part.is_floating_point() for part in parts):
        parts = [part if part.is_floating_point() else to_unit(part) for part in parts]
    return parts


def combined(parts: Sequence[tuple[float, Sequence[Tensor]]], row: int, places: Sequence[Placement]) -> Tensor:
    """Returns one image's values, (K,) or (K, height, width): the weighted sum over views, maps in the file's size.

    Args:
        parts: for each view, its weight, and for each image values (K,) or (K, h, w).
        row: index of the image.
        places: for each view, where the image lies in its square.
    """
    whole = [share * values[row] for share, values in parts]
    if whole[0].ndim == 1:
        return torch.stack(whole).sum(0)
    return torch.stack([place.to_file(values) for place, values in zip(places, whole, strict=True)]).sum(0)


def load(
    run: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    flips: bool = False,
    device: str = "auto",
    data: Mapping[str, Any] | None = None,
    mixed: bool = False,
    threshold: Any = STORED,
    decide: Any = STORED,
    windows: Any = NONE,
) -> Predictor:
    """Implements `tandem.load`, its public name."""
    from tandem.evaluate.decide import decide_run
    from tandem.runs.restore import restore

    wanted, asked = read_threshold(threshold), read_source(str(decide) if isinstance(decide, Path) else decide)
    check_threshold(wanted)
    overlap = read_windows(windows)
    runs = [restore(folder) for folder in run_folders(run)]
    check_one(asked, len(runs))
    for one in runs:
        decide_run(one, wanted, asked, device)
    return Predictor(Ensemble(runs, flips, device, data, mixed, overlap))


def _ahead(pool: ThreadPoolExecutor, work: Callable[[S], T], sources: Iterable[S], count: int) -> Iterator[tuple[S, T]]:
    """Yields each source with its result, in order, with up to `count` jobs in progress."""
    waiting: deque[tuple[S, Future[T]]] = deque()
    left = iter(sources)
    while True:
        waiting.extend((source, pool.submit(work, source)) for source in islice(left, count - len(waiting)))
        if not waiting:
            return
        source, job = waiting.popleft()
        yield source, job.result()


@contextmanager
def _bombs_are_errors() -> Iterator[None]:
    """Turns Pillow's warning of a decompression bomb into an error, for all threads.

    `open_image` sets the same filter, but threads that do so at once undo each other's; they return to this one.
    """
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield

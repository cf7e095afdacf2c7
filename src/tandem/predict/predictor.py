"""Runs as a function of pictures."""

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
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from tandem.errors import ConfigError, DataError
from tandem.predict.ensemble import Ensemble, Parts
from tandem.predict.settings import run_folders
from tandem.predict.views import View, open_any
from tandem.tasks.kinds import Answer, Question

T = TypeVar("T")
S = TypeVar("S")

THREADS = 8
"""At most so many decode and write."""


@dataclass(frozen=True)
class Prediction:
    """What is said of one picture.

    Attributes:
        width: of the picture in pixels, upright.
        height: likewise.
        answers: by task; see `tandem.tasks.kinds`.
    """

    width: int
    height: int
    answers: Mapping[str, Answer]

    def __getitem__(self, task: str) -> Any:
        """The answer of a task, of the class that belongs to its kind."""
        return self.answers[task]


@dataclass(frozen=True)
class _Seen:
    """A decoded picture: its size, and the arrays that networks see."""

    width: int
    height: int
    arrays: Mapping[View, NDArray[np.uint8]]


class Predictor:
    """Finished runs, ready to answer; made by `tandem.load`.

    Args:
        ensemble: of the runs.
    """

    def __init__(self, ensemble: Ensemble) -> None:
        self.ensemble = ensemble

    @property
    def questions(self) -> tuple[Question, ...]:
        """What is answered: tasks with the names of their channels and their thresholds."""
        return self.ensemble.questions

    def predict(self, images: Any, batch_size: int = 16) -> list[Prediction]:
        """Answers for pictures, in their order. Masks and maps have the size of each picture.

        Maps of probabilities are resized bilinearly (with antialiasing where they shrink), then thresholded.

        Args:
            images: one picture or any number of them, see `tandem.predict.views.open_any`: paths, pictures of Pillow's,
                arrays (H, W) or (H, W, C), tensors (H, W) or (C, H, W); or an array (N, H, W, C) or tensor
                (N, C, H, W).
            batch_size: pictures at once.

        Raises:
            DataError: what is no picture, a file that cannot be read.
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
        """Goes through pictures with as little in memory as two batches as the networks see them.

        Args:
            sources: the pictures.
            batch_size: pictures at once.
            use: called in a thread with each picture and what is said of it.

        Yields:
            Each picture, in order, and what `use` made of it, or why there is nothing.

        Raises:
            ConfigError: no picture at once.
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

    def _decode(self, source: Any) -> _Seen | DataError:
        name = str(source) if isinstance(source, str | Path) else "in memory"
        try:
            picture = open_any(source)
            arrays = {view: view.of(picture, name) for view in self.ensemble.views}
        except DataError as error:
            return error
        return _Seen(picture.width, picture.height, arrays)

    def _answer(
        self, pool: ThreadPoolExecutor, batch: Sequence[tuple[S, _Seen | DataError]], use: Callable[[S, Prediction], T]
    ) -> Iterator[tuple[S, T | DataError]]:
        seen = [picture for _, picture in batch if isinstance(picture, _Seen)]
        parts: Parts = {}
        if seen:
            parts = self.ensemble(
                {view: torch.from_numpy(np.stack([p.arrays[view] for p in seen])) for view in self.ensemble.views}
            )

        def finish(source: S, row: int) -> T | DataError:
            try:
                return use(source, self._prediction(seen[row], row, parts))
            except DataError as error:
                return error

        rows = iter(range(len(seen)))
        jobs = [
            (source, picture if isinstance(picture, DataError) else pool.submit(finish, source, next(rows)))
            for source, picture in batch
        ]
        for source, job in jobs:
            yield source, job.result() if isinstance(job, Future) else job

    def _prediction(self, seen: _Seen, row: int, parts: Parts) -> Prediction:
        answers = {}
        for question in self.questions:
            values = combined(parts[question.name], row, (seen.height, seen.width)).numpy()
            if not np.isfinite(values).all():
                raise DataError(f"the network's answer for task '{question.name}' is not finite (nan); train it again")
            answers[question.name] = question.read(values)
        return Prediction(seen.width, seen.height, answers)


def combined(parts: Sequence[tuple[float, Tensor]], row: int, size: tuple[int, int]) -> Tensor:
    """One picture's values, (K,) or (K, height, width): the weighted sum of the views', maps brought to its size.

    Args:
        parts: for each view, its share and values (N, K) or (N, K, h, w).
        row: which picture.
        size: its height and width.
    """
    whole = [share * values[row] for share, values in parts]
    if whole[0].ndim == 1:
        return torch.stack(whole).sum(0)
    return torch.stack([resized(values, size) for values in whole]).sum(0)


def resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(K, height, width) from (K, h, w), bilinear; antialiased where it shrinks, as pictures are."""
    return F.interpolate(maps[None], size, mode="bilinear", align_corners=False, antialias=True)[0]


def load(
    run: str | Path | Sequence[str | Path],
    flips: bool = False,
    device: str = "auto",
    data: Mapping[str, Any] | None = None,
    mixed: bool = False,
) -> Predictor:
    """As `tandem.load`, which is its public name."""
    from tandem.runs.restore import restore

    return Predictor(Ensemble([restore(folder) for folder in run_folders(run)], flips, device, data, mixed))


def _ahead(pool: ThreadPoolExecutor, work: Callable[[S], T], sources: Iterable[S], count: int) -> Iterator[tuple[S, T]]:
    """Each source and what comes of it, in order, with so many under way."""
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
    """Pillow's warning of a decompression bomb is an error, for all threads.

    `open_image` sets the same filter, but threads that do so at once undo each other's; they return to this one.
    """
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield

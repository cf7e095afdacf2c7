"""An ensemble of one or several runs that answer the same questions."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tandem.errors import ConfigError
from tandem.predict.settings import check_device
from tandem.runs.inference import Inference
from tandem.runs.mirrored import MIRRORED
from tandem.runs.mixture import refuse_mixtures
from tandem.runs.views import View, view_of
from tandem.runs.windows import cut, joined
from tandem.tasks.kinds import Question

if TYPE_CHECKING:
    from tandem.runs.restore import TrainedRun

log = logging.getLogger(__name__)

Parts = Mapping[str, Sequence[tuple[float, Sequence[Tensor]]]]
"""By task, for each view: its weight in the mean, and for each image its values (K,) or (K, height, width)."""


class Ensemble:
    """Averages runs; each run gets images prepared as in its training.

    Args:
        runs: at least one.
        flips: whether to average over flipped copies of the images.
        device: `auto`, `cpu`, `cuda` or `mps`.
        changes: data options that override those of the runs: `size`, `grey_range`, `background`, `window`.
        mixed: whether runs are averaged although their data, version of tandem, device or precision differ.
        overlap: of windows that pass over images, for answers about pixels; None: there are none.

    Attributes:
        questions: the questions that the runs answer; thresholds are means over the runs.
        views: the distinct ways in which the runs prepare an image.
        prepared: these, and those without windows that other answers than those about pixels need.

    Raises:
        ConfigError: if runs differ in tasks or classes, several runs have embeddings, the device is not available, or
            there are windows, but no answers about pixels.
    """

    def __init__(
        self,
        runs: Sequence["TrainedRun"],
        flips: bool = False,
        device: str = "auto",
        changes: Mapping[str, Any] | None = None,
        mixed: bool = False,
        overlap: float | None = None,
    ) -> None:
        pairs = [(run.folder, run.results) for run in runs]
        for line in refuse_mixtures(pairs, "the ensemble", "" if mixed else "mixed=true"):
            log.warning("the ensemble averages %s", line)
        self.device = find_device(device)
        self.mirrored = MIRRORED if flips else MIRRORED[:1]
        self.questions = agreed([(run, questions_of(run)) for run in runs])
        self.members: dict[View, list[Inference]] = {}
        for run in runs:
            members = self.members.setdefault(view_of(run, changes or {}, overlap), [])
            members.append(Inference(run.module).to(self.device))
        self.views = tuple(self.members)
        self.dense = {question.name for question in self.questions if question.kind.dense}
        if overlap is not None:
            self._check_windows()
        plain = () if len(self.dense) == len(self.questions) else (view.plain for view in self.views if view.several)
        self.prepared = tuple(dict.fromkeys((*self.views, *plain)))

    def _check_windows(self) -> None:
        if not self.dense:
            raise ConfigError("windows are for answers about pixels, but these runs have none; leave windows out")
        if not any(view.several for view in self.views):
            view = self.views[0]
            log.warning(
                "windows change nothing: with data.fit=%s and images of %d px, one window covers each image",
                view.fit, view.size,
            )  # fmt: skip

    @torch.inference_mode()
    def __call__(self, batches: Mapping[View, Sequence[Tensor]]) -> Parts:
        """Computes the mean values of each task.

        Args:
            batches: for each view of `prepared`, images (C, rows, columns), all uint8, or all float32 in [0, 1].

        Returns:
            float32 values on the CPU; the weights of a task sum to 1.
        """
        runs = sum(map(len, self.members.values()))
        found: dict[str, list[tuple[float, Sequence[Tensor]]]] = {question.name: [] for question in self.questions}
        for view, members in self.members.items():
            values = self._of_view(view, members, batches)
            for name, parts in found.items():
                parts.append((len(members) / runs, values[name]))
        return found

    def _of_view(
        self, view: View, members: Sequence[Inference], batches: Mapping[View, Sequence[Tensor]]
    ) -> Mapping[str, Sequence[Tensor]]:
        """Returns the mean values of the runs with this view, by task and image."""
        images = batches[view]
        tiles = [cut(image, view.windows) if view.windows else image[None] for image in images]
        counts = [len(tile) for tile in tiles]
        if view.windows is None or max(counts) == 1:
            return _by_image(self._mean(members, torch.cat(tiles)))
        each = [self._mean(members, batch) for batch in torch.split(torch.cat(tiles), len(images))]
        plain = (
            {} if len(self.dense) == len(self.questions) else self._mean(members, torch.stack([*batches[view.plain]]))
        )
        found = _by_image(plain)
        for name in self.dense:
            maps = torch.split(torch.cat([values[name] for values in each]), counts)
            sizes = [(image.shape[-2], image.shape[-1]) for image in images]
            found[name] = [joined(*pair, view.windows) for pair in zip(maps, sizes, strict=True)]
        return found

    def _mean(self, members: Sequence[Inference], images: Tensor) -> dict[str, Tensor]:
        """Returns the mean values of runs."""
        image = images.to(self.device)
        answers = [self._values(member, image) for member in members]
        return {q.name: torch.stack([answer[q.name] for answer in answers]).mean(0).cpu() for q in self.questions}

    def _values(self, member: Inference, image: Tensor) -> dict[str, Tensor]:
        """Returns the values of one run, averaged over flips."""
        sums: dict[str, Tensor] = {}
        for axes in self.mirrored:
            outputs = dict(zip(member.names, member(image.flip(axes)), strict=True))
            for question in self.questions:
                values = outputs[f"{question.name}_probabilities"]
                values = values.flip(axes) if question.kind.dense else values
                sums[question.name] = sums[question.name] + values if question.name in sums else values
        return {name: values / len(self.mirrored) for name, values in sums.items()}


def questions_of(run: "TrainedRun") -> tuple[Question, ...]:
    """Returns the questions that a run answers.

    Args:
        run: a finished run.
    """
    return tuple(task.question() for task in run.module.tasks.values())


def agreed(asked: "Sequence[tuple[TrainedRun, tuple[Question, ...]]]") -> tuple[Question, ...]:
    """Returns the common questions of all runs, with mean thresholds.

    Args:
        asked: each run with its questions.

    Raises:
        ConfigError: if runs have different questions; or if several have embeddings, which are not comparable.
    """
    (first, questions), *others = asked
    for run, found in others:
        for one, other in ((questions, found), (found, questions)):
            if unlike := [q for q in one if _of_task(q) not in map(_of_task, other)]:
                names = ", ".join(unlike[0].names)
                raise ConfigError(
                    f"run={run.folder} and run={first.folder} differ in the task '{unlike[0].name}' ({names}), so "
                    "their answers cannot be averaged; give runs of the same tasks and classes"
                )
        if (task := _other_decision(questions, found)) is not None:
            raise ConfigError(
                f"run={run.folder} and run={first.folder} decide '{task}' differently, so there is no common "
                "mask; add decide=threshold, or another decide=... for all"
            )
        if embedded := [question.name for question in found if not question.kind.averaged]:
            raise ConfigError(f"embeddings of several runs cannot be averaged (task '{embedded[0]}'); give one run")
    tables = [{question.name: question.thresholds for question in found} for _, found in asked]
    return tuple(replace(q, thresholds=tuple(_means([table[q.name] for table in tables]))) for q in questions)


def _other_decision(one: Sequence[Question], other: Sequence[Question]) -> str | None:
    """Name of the first task with another rule or other steps; temperatures are applied to each run."""
    decided = {question.name: (question.decision.rule, question.decision.steps) for question in other}
    return next((q.name for q in one if (q.decision.rule, q.decision.steps) != decided[q.name]), None)


def _of_task(question: Question) -> tuple[Any, ...]:
    return (question.name, question.kind, question.names, question.further_columns)


def _means(rows: Sequence[Sequence[float]]) -> list[float]:
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


def find_device(name: str) -> torch.device:
    """Returns the device of a name; `auto` is CUDA if available, otherwise the CPU.

    Raises:
        ConfigError: if the name is unknown or the device is not available.
    """
    check_device(name)
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device("cuda" if available["cuda"] else "cpu")
    if not available[name]:
        raise ConfigError(f"device={name} is not available; set device=auto")
    return torch.device(name)


def _by_image(values: Mapping[str, Tensor]) -> dict[str, Sequence[Tensor]]:
    return {name: [*rows] for name, rows in values.items()}

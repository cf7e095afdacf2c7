"""Several runs as one module for export: the mean of their probabilities, thresholded at their mean threshold."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tandem.errors import ConfigError
from tandem.predict.ensemble import agreed, questions_of
from tandem.runs.inference import Inference
from tandem.runs.mixture import refuse_mixtures
from tandem.runs.restore import TrainedRun


class MeanInference(Inference):
    """The answers of an ensemble, as `predict` gives them for images of the network's size.

    Shapes are those of `Inference`.

    Args:
        runs: at least one, with the same tasks, size, channels and levels.

    Raises:
        ConfigError: they differ in one of these.
    """

    def __init__(self, runs: Sequence[TrainedRun]) -> None:
        refuse_mixtures([(run.folder, run.results) for run in runs], "the ensemble", "")
        questions = {question.name: question for question in agreed([(run, questions_of(run)) for run in runs])}
        takes = {(run.levels, run.info.channels, run.config["data"].get("size")) for run in runs}
        if len(takes) > 1:
            raise ConfigError(
                "the runs differ in the size, channels or levels of their images, so that one file cannot prepare an "
                "image for all of them; export them one by one"
            )
        super().__init__(runs[0].module.float(), runs[0].levels)
        self.members = nn.ModuleList(Inference(run.module.float(), run.levels) for run in runs)
        for name, task in self.module.tasks.items():
            if task.target_kind.thresholds:
                task.threshold.copy_(torch.tensor(questions[name].thresholds).view_as(task.threshold))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Returns the outputs in the order of `names`."""
        each = [dict(zip(self.names, member(image), strict=True)) for member in self.members]
        found: dict[str, Tensor] = {}
        for name, task in self.module.tasks.items():
            key = f"{name}_probabilities"
            found[key] = torch.stack([outputs[key] for outputs in each]).mean(0)
            if task.target_kind.thresholds:
                decided = task.target_kind.decide(found[key], task.threshold)
                assert decided is not None, "a kind with thresholds decides"
                found[f"{name}_answer"] = decided.to(torch.uint8)
        return tuple(found[name] for name in self.names)

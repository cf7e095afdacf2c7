"""Evaluates tasks of an unknown kind: their raw values, without further statistics."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from tandem.evaluate.bootstrap import BootstrapSamples
from tandem.evaluate.evaluators.evaluator import Evaluator, Images
from tandem.evaluate.findings import Findings
from tandem.tasks import TaskOutput
from tandem.tasks.kinds import Kind
from tandem.tasks.kinds.values import plain


class RawValues(Evaluator):
    """Writes the task's raw outputs, and the target if it is a single value. See `Evaluator` for the arguments."""

    of: ClassVar[type[Kind]] = Kind

    @property
    def columns(self) -> Sequence[str]:
        """The target, and each output (the mean of each output that is a map)."""
        return ["true", *self.question.kind.answer.columns(self.question)]

    def read(self, output: TaskOutput, images: Images) -> list[Mapping[str, Any]]:
        """Returns the values of each row; nothing is stored."""
        values = output.probabilities.float().cpu().numpy()
        answers = [self.question.read(row) for row in values]
        return [{"true": true, **answer.cells} for true, answer in zip(_single(output.target), answers, strict=True)]

    def finish(self, draws: BootstrapSamples, choosing: bool) -> Findings:
        """Returns a note only: such a task has no metrics beyond the run's own."""
        note = (
            f"tandem has no evaluator for the kind of this task, '{self.question.kind.name}': images.csv holds its "
            "outputs for each image, and the metrics above are the run's own."
        )
        return Findings({}, notes=[note if self.ids else "No image of this split has a target."])


def _single(target: Tensor) -> list[Any]:
    """The target of each row if it is a single number; otherwise empty strings."""
    flat = target.reshape(len(target), -1)
    return [plain(value) for value in flat[:, 0]] if flat.shape[1] == 1 else [""] * len(target)

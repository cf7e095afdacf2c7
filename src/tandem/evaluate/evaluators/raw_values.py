"""Tasks of a kind that tandem does not know: their values, and no statistics that would have to be invented."""

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
    """The task's probabilities as they are, and the target where it is one value. Arguments: `Evaluator`."""

    of: ClassVar[type[Kind]] = Kind

    @property
    def columns(self) -> Sequence[str]:
        """Each value, or of maps the mean of each; and the target."""
        return ["true", *self.question.kind.answer.columns(self.question)]

    def read(self, output: TaskOutput, images: Images) -> list[Mapping[str, Any]]:
        """The cells of each row; nothing is kept."""
        values = output.probabilities.float().cpu().numpy()
        answers = [self.question.read(row) for row in values]
        return [{"true": true, **answer.cells} for true, answer in zip(_single(output.target), answers, strict=True)]

    def finish(self, draws: BootstrapSamples, choosing: bool) -> Findings:
        """A note: of such a task there are the run's own metrics alone."""
        note = (
            f"The kind of this task, '{self.question.kind.name}', is not known to tandem: images.csv holds its values "
            "for each image, and the metrics above are those that the run names."
        )
        return Findings({}, notes=[note if self.ids else "No image of this split has a target."])


def _single(target: Tensor) -> list[Any]:
    """The targets of the rows where each is one number, and empty texts otherwise."""
    flat = target.reshape(len(target), -1)
    return [plain(value) for value in flat[:, 0]] if flat.shape[1] == 1 else [""] * len(target)

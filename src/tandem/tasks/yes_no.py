"""The yes/no task: questions whose answers follow from the class."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Unpack

import torch
from torch import Tensor, nn

from tandem.config.suggest import nearest
from tandem.data.batch import MISSING_LABEL, MISSING_PIXEL
from tandem.data.datamodule import DataInfo
from tandem.errors import ConfigError
from tandem.tasks.pooled import PooledArguments, PooledTask


class YesNoTask(PooledTask):
    """Answers yes/no questions that follow from the class of an image: is it malignant, is there a lesion?

    Each question has its own logit, probability and threshold; the threshold is found on validation data.

    Args:
        name: see `PooledTask`, also for `data` and `shared`.
        data: description of the data set.
        loss: a binary loss.
        questions: by name of the question, the classes for which the answer is yes; None leaves a question out, since
            a yaml or a command line adds to the shipped ones.
        shared: `metrics`, `pool`, `dropout` and `prior_bias`.

    Raises:
        ConfigError: if there is no question, a question is yes for no class or every class, or a class is unknown.
    """

    kind: ClassVar[str] = "binary"
    target: ClassVar[str] = "label"
    answers: Tensor

    def __init__(
        self,
        name: str,
        data: DataInfo,
        loss: nn.Module,
        questions: Mapping[str, Sequence[str] | None],
        **shared: Unpack[PooledArguments],
    ) -> None:
        asked = {question: yes for question, yes in questions.items() if yes is not None}
        _check_questions(asked, data)
        self.questions = {question: tuple(yes) for question, yes in asked.items()}
        super().__init__(name, data, loss, **shared)
        table = [[label in yes for yes in self.questions.values()] for label in data.classes]
        self.register_buffer("answers", torch.tensor(table, dtype=torch.uint8), persistent=False)

    @property
    def channels(self) -> int:
        """One logit per question."""
        return len(self.questions)

    @property
    def class_names(self) -> Sequence[str]:
        """The names of the questions."""
        return list(self.questions)

    def read_target(self, batch: Mapping[str, Any]) -> Tensor | None:
        """Returns (N, questions) uint8: 0 or 1, 255 where the class is unknown."""
        label = batch.get(self.target)
        if label is None:
            return None
        return self.answers[label.clamp(min=0)].masked_fill((label == MISSING_LABEL)[:, None], MISSING_PIXEL)

    def labelled(self, target: Tensor) -> Tensor:
        """Marks rows whose class is known."""
        return (target != MISSING_PIXEL).any(dim=1)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Applies the sigmoid to each question."""
        return torch.sigmoid(logits)


def _check_questions(questions: Mapping[str, Sequence[str]], data: DataInfo) -> None:
    if not questions:
        raise ConfigError("questions is empty; give one, such as {malignant: [malignant]}")
    for question, yes in questions.items():
        if not question.isidentifier():
            raise ConfigError(f"a question cannot be called '{question}'; use letters, digits and _")
        if isinstance(yes, str):
            raise ConfigError(f"questions.{question} is the string '{yes}', but must be a list: [{yes}]")
        if unknown := [label for label in yes if label not in data.classes]:
            raise ConfigError(
                f"questions.{question}: data '{data.name}' has no class '{unknown[0]}': "
                f"{nearest(str(unknown[0]), data.classes)}"
            )
        if not 0 < len(set(yes)) < len(data.classes):
            which = "every" if yes else "no"
            raise ConfigError(f"questions.{question} is yes for {which} class; list some of the classes, but not all")

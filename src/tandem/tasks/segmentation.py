"""The segmentation task: where is the lesion?"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Unpack

import torch
from torch import Tensor, nn

from tandem.adversarial.adversary import Adversary
from tandem.data.datamodule import DataInfo
from tandem.errors import ConfigError
from tandem.network.features import FeatureChannels
from tandem.tasks.dense import DenseTask
from tandem.tasks.output import TaskOutput
from tandem.tasks.task import HeadArguments
from tandem.tasks.task_metrics import RowMean

SUPERVISED = "supervised"
"""Name of an unnamed loss when an adversary adds a second term."""

ADVERSARIAL = "adversarial"
"""Name of the loss term that an adversary adds."""


class SegmentationTask(DenseTask):
    """Predicts foreground or background for each pixel of an image.

    The threshold sweep finds the threshold on validation data; it is then applied everywhere else.

    An adversary adds the term `adversarial` to the loss, in training only, so that validation and test losses remain
    comparable with those of a run without an adversary. It also logs `train/<task>/adversarial/d_loss`, `d_accuracy`
    and `g_loss`; `g_loss` is the term without its weight.

    Args:
        name: see `Task`, also for `data`, `metrics` and `shared`.
        data: description of the data set.
        loss: a binary loss.
        metrics: functions that make torchmetrics metrics.
        adversary: adds a further term to the loss, or None.
        shared: `dropout` of the decoder's channels, and `prior_bias`.

    Raises:
        ConfigError: if a term of the loss uses a reserved name, `adversary` is not an adversary, or a value is out of
            range.
    """

    kind: ClassVar[str] = "binary"
    target: ClassVar[str] = "mask"

    def __init__(
        self,
        name: str,
        data: DataInfo,
        loss: nn.Module,
        metrics: Mapping[str, Any] | None = None,
        adversary: Adversary | None = None,
        **shared: Unpack[HeadArguments],
    ) -> None:
        super().__init__(name, data, loss, metrics, **shared)
        self.adversary = adversary or None  # the option `none` is empty
        if self.adversary is None:
            return
        if not isinstance(self.adversary, Adversary):
            raise ConfigError(f"tasks.{name}.adversary is invalid; write adversary@tasks.{name}.adversary={adversary}")
        for term in (SUPERVISED, ADVERSARIAL):
            if term in super().weights():
                raise ConfigError(f"with an adversary, no term of the loss may be called '{term}'; rename the term")
        self.played = RowMean()

    @property
    def channels(self) -> int:
        """One logit per mask channel."""
        return len(self.data.mask_channels)

    @property
    def class_names(self) -> Sequence[str]:
        """The data set's names of the mask channels."""
        return self.data.mask_channels

    def attach(self, channels: FeatureChannels) -> None:
        """Builds the head and the discriminator."""
        super().attach(channels)
        if self.adversary is not None:
            self.adversary.attach(self.data.channels + self.channels)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Applies the sigmoid to each pixel."""
        return torch.sigmoid(logits)

    def answer(self, logits: Tensor, batch: Mapping[str, Any]) -> TaskOutput | None:
        """Computes losses and probabilities of the labelled rows, in training with the adversary's term."""
        output = super().answer(logits, batch)
        if output is None or self.adversary is None or not self.training:
            return output
        term = self.adversary.term(batch["image"][output.rows], logits[output.rows], output.target)
        losses, unweighted = (
            {name or SUPERVISED: value for name, value in terms.items()} for terms in (output.losses, output.unweighted)
        )
        losses[ADVERSARIAL] = self.adversary.weight * term
        unweighted[ADVERSARIAL] = term.detach()
        return output._replace(losses=losses, unweighted=unweighted)

    def check_devices(self, count: int) -> None:
        """Raises ConfigError for several devices with an adversary, whose copies would train on different masks."""
        super().check_devices(count)
        if self.adversary is not None and count > 1:
            raise ConfigError(
                f"the adversary of task '{self.name}' trains on one device only, but there are {count}; set "
                f"trainer.devices=1, or adversary@tasks.{self.name}.adversary=none"
            )

    def weights(self) -> dict[str, float]:
        """Returns the current epoch's weight of each named loss term, including the adversary's."""
        more = {} if self.adversary is None else {ADVERSARIAL: self.adversary.weight}
        return super().weights() | more

    def begin_epoch(self, epoch: int) -> None:
        """Sets the weights of the loss and the adversary to those of an epoch."""
        super().begin_epoch(epoch)
        if self.adversary is not None:
            self.adversary.set_epoch(epoch)

    def after_step(self, output: TaskOutput, batch: Mapping[str, Any]) -> None:
        """Trains the adversary on the masks predicted in the step."""
        if self.adversary is not None:
            played = self.adversary.learn(batch["image"][output.rows], output.probabilities, output.target)
            self.played.update(torch.stack([played["d_loss"], played["d_accuracy"]]), len(output.rows))

    def compute(self, stage: str) -> dict[str, Tensor]:
        """Returns the stage's losses and metrics, for training including the adversary's, and resets them."""
        found = super().compute(stage)
        if stage == "train" and self.adversary is not None and self.played.update_called:
            prefix = f"{stage}/{self.name}"
            d_loss, d_accuracy = self.played.compute().unbind()
            g_loss = found[f"{prefix}/loss/{ADVERSARIAL}/unweighted"]
            played = {"d_loss": d_loss, "g_loss": g_loss, "d_accuracy": d_accuracy}
            found |= {f"{prefix}/adversarial/{name}": value for name, value in played.items()}
            self.played.reset()
        return found

"""Where is it?"""

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
"""What a loss of one term is called where an adversary gives a second one."""

ADVERSARIAL = "adversarial"
"""The term of the loss that an adversary gives."""


class SegmentationTask(DenseTask):
    """Foreground or not, for each pixel of a picture.

    The threshold is found on validation data by the threshold sweep and applied everywhere else.

    An adversary adds the term `adversarial` to the loss, in training only, so that validation and test losses can be
    compared with those of a run without; and `train/<task>/adversarial/d_loss`, `d_accuracy` and `g_loss`, which is
    the term without its weight.

    Args:
        name: see `Task`, as for `data`, `metrics` and `shared`.
        data: what is known of the data.
        loss: a binary loss.
        metrics: makers of torchmetrics metrics.
        adversary: gives a further term of the loss, or None.
        shared: `dropout` of the dense map's channels, and `prior_bias`.

    Raises:
        ConfigError: a loss that has a term of a name that is taken; something else in the adversary's place; a value
            out of range.
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
            raise ConfigError(f"an adversary is chosen with adversary@tasks.{name}.adversary={adversary}")
        for term in (SUPERVISED, ADVERSARIAL):
            if term in super().weights():
                raise ConfigError(f"beside an adversary no term of the loss may be called '{term}'; rename it")
        self.played = RowMean()

    @property
    def channels(self) -> int:
        """One yes/no question for each channel of the masks."""
        return len(self.data.mask_channels)

    @property
    def class_names(self) -> Sequence[str]:
        """The data set's names of these channels."""
        return self.data.mask_channels

    def attach(self, channels: FeatureChannels) -> None:
        """Builds the head, and the discriminator for these pictures."""
        super().attach(channels)
        if self.adversary is not None:
            self.adversary.attach(self.data.channels + self.channels)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Sigmoid for each pixel."""
        return torch.sigmoid(logits)

    def answer(self, logits: Tensor, batch: Mapping[str, Any]) -> TaskOutput | None:
        """Losses and probabilities of the labelled rows, in training with the adversary's term."""
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
        """Refuses several devices where there is an adversary, each of which would learn from other masks."""
        if self.adversary is not None and count > 1:
            raise ConfigError(
                f"the adversary of task '{self.name}' learns on one device only, but there are {count}; set "
                f"trainer.devices=1, or adversary@tasks.{self.name}.adversary=none"
            )

    def weights(self) -> dict[str, float]:
        """The weight of each named term of the loss in the current epoch, with the adversary's."""
        more = {} if self.adversary is None else {ADVERSARIAL: self.adversary.weight}
        return super().weights() | more

    def begin_epoch(self, epoch: int) -> None:
        """Sets the loss's and the adversary's weights to those of an epoch."""
        super().begin_epoch(epoch)
        if self.adversary is not None:
            self.adversary.set_epoch(epoch)

    def after_step(self, output: TaskOutput, batch: Mapping[str, Any]) -> None:
        """The adversary learns from the masks that were predicted in the step."""
        if self.adversary is not None:
            played = self.adversary.learn(batch["image"][output.rows], output.probabilities, output.target)
            self.played.update(torch.stack([played["d_loss"], played["d_accuracy"]]), len(output.rows))

    def compute(self, stage: str) -> dict[str, Tensor]:
        """The stage's losses and metrics, of the training split with those of the adversary, and starts anew."""
        found = super().compute(stage)
        if stage == "train" and self.adversary is not None and self.played.update_called:
            prefix = f"{stage}/{self.name}"
            d_loss, d_accuracy = self.played.compute().unbind()
            g_loss = found[f"{prefix}/loss/{ADVERSARIAL}/unweighted"]
            played = {"d_loss": d_loss, "g_loss": g_loss, "d_accuracy": d_accuracy}
            found |= {f"{prefix}/adversarial/{name}": value for name, value in played.items()}
            self.played.reset()
        return found

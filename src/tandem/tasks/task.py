"""Base class of tasks: one question about the image, answered from the shared features."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypedDict

import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

from tandem.data.datamodule import DataInfo
from tandem.data.samples import Samples
from tandem.decisions.decision import NEUTRAL, Decision
from tandem.decisions.reached import reached
from tandem.decisions.stages import decided
from tandem.decisions.temperature import mapped
from tandem.distributed.metric_states import check_shared
from tandem.distributed.rows import labelled_rows
from tandem.errors import ConfigError
from tandem.losses.data_dependent import deferred_losses
from tandem.network.features import FeatureChannels, Features
from tandem.tasks.kinds import Kind, Question, kind_of
from tandem.tasks.kinds.values import check_values
from tandem.tasks.output import TaskOutput
from tandem.tasks.target_statistics import check_prior_bias, count_answers, resolve_loss, set_prior_bias
from tandem.tasks.task_metrics import TaskMetrics

STAGES = ("train", "val", "test")


class HeadArguments(TypedDict, total=False):
    """Arguments shared by the heads of all tasks; documented in `Task`."""

    dropout: float
    prior_bias: bool | float


class Task(nn.Module, ABC):
    """One question about an image: head, loss, metrics and threshold.

    A new task is a subclass that defines which target it reads and how, and one yaml. Its `kind` may be a new name:
    it then needs a loss with the same `kind`, and is trained, evaluated, predicted and exported with its raw values
    unless it overrides `answer_from` or `target_kind`.

    Args:
        name: the task's name in the configuration and in logged values.
        data: description of the data set.
        loss: called with (logits, target); its `kind` must be this task's.
        metrics: by name, functions that make a torchmetrics metric for this task's number of classes. A metric gets
            probabilities and targets of the labelled rows of a whole split.
        dropout: share of the features that is dropped in training before the last layer, in [0, 1).
        prior_bias: whether to initialise the bias of the last layer so that it predicts the shares of the answers in
            training (Lin et al., 2017); for yes/no questions also a share in (0, 1). Needs a countable kind.

    Attributes:
        kind: kind of target: `binary`, `multiclass`, ..., or a new name; a loss of another kind is an error.
        target: the key in the batch that this task learns.
        dense: whether the head uses the decoder's map.
        channels: number of logits per row or pixel.
        threshold: (channels,), a probability at or above it counts as yes; found on validation data, stored in the
            checkpoint.
        decision: what makes the answer beside the threshold; set by `decide_by`, and neutral in training.
        swept: (channels,), the threshold found in training, as it is at the decision's temperature; None in training.

    Raises:
        ConfigError: if the loss has another kind or none, a name is not allowed, or a value is out of range.
    """

    kind: ClassVar[str]
    target: ClassVar[str]
    dense: ClassVar[bool]
    threshold: Tensor

    def __init__(
        self,
        name: str,
        data: DataInfo,
        loss: nn.Module,
        metrics: Mapping[str, Any] | None = None,
        dropout: float = 0.0,
        prior_bias: bool | float = False,
    ) -> None:
        super().__init__()
        for what, given in (("a task", name), *(("a metric", key) for key in metrics or {})):
            _check_name(what, given)
        if isinstance(loss, str):
            raise ConfigError(f"tasks.{name}.loss is only a name; write loss/{self.kind}@tasks.{name}.loss={loss}")
        kind = getattr(loss, "kind", None)
        if kind != self.kind:
            label = getattr(loss, "__name__", type(loss).__name__)
            raise ConfigError(
                f"the loss {label} {f'is a {kind} loss' if kind else 'has no kind'}, but this task needs a {self.kind} "
                f"one; choose loss/{self.kind}@tasks.{name}.loss=..."
            )
        if self.needs not in data.offered:
            raise ConfigError(
                f"task '{name}' learns from a {self.needs}, but data '{data.name}' has none (it has: "
                f"{', '.join(data.offered) or 'nothing'}); choose another task=... or other data"
            )
        if not 0 <= dropout < 1:
            raise ConfigError(f"dropout is {dropout}, but must lie in [0, 1)")
        self.name = name
        self.data = data
        self.dropout = dropout
        self.prior_bias = check_prior_bias(prior_bias, self.target_kind)
        self.loss = loss
        if self.target_kind.exclusive and self.channels < 2:
            raise ConfigError(
                f"task '{name}' has one class ({', '.join(self.class_names)}), so there is nothing to tell apart; name "
                "at least two in data.classes, or leave the task out of task=[...]"
            )
        self.head: nn.Module = nn.Identity()
        made = {key: self._make_metric(make) for key, make in (metrics or {}).items()}
        self.meters = {stage: TaskMetrics(made, self.class_names) for stage in STAGES}
        # nn.ModuleDict rejects the key "train", a method's name; registered one by one, metrics move with the task
        for stage, meters in self.meters.items():
            self.add_module(f"{stage}_meters", meters)
        self.register_buffer("threshold", torch.full((self.channels,), 0.5))
        self.decision = NEUTRAL
        self.swept: Tensor | None = None

    @property
    def target_kind(self) -> Kind:
        """The behaviour of this kind of target: decide, count, display. Override it to use a custom `Kind`."""
        return kind_of(self.kind, self.dense)

    @property
    def needs(self) -> str:
        """The entry of `DataInfo.offered` that this task learns from."""
        return self.target

    @property
    @abstractmethod
    def channels(self) -> int:
        """Number of logits per row or pixel."""

    @abstractmethod
    def make_head(self, channels: FeatureChannels) -> nn.Module:
        """Makes the head, which maps `Features` to logits."""

    def read_target(self, batch: Mapping[str, Any]) -> Tensor | None:
        """Returns this task's target in a batch, or None if the data set has none."""
        return batch.get(self.target)

    @abstractmethod
    def labelled(self, target: Tensor) -> Tensor:
        """Returns (N,) bool: which rows have a target."""

    @abstractmethod
    def probabilities(self, logits: Tensor) -> Tensor:
        """Converts logits to probabilities; for kinds without probabilities, to the values that metrics compare.

        Args:
            logits: (N, channels, *spatial) float32.

        Returns:
            (N, C, *spatial), where C is the number of `class_names`.
        """

    def decide_by(self, decision: Decision) -> None:
        """Sets the decision, with its thresholds if it has any; `swept` keeps what they were, at its temperature."""
        self.swept = mapped(self.threshold.clone(), decision.temperature)
        if decision.thresholds:
            self.threshold.copy_(torch.tensor(decision.thresholds))
        self.decision = decision

    def tempered(self, logits: Tensor) -> Tensor:
        """Returns the `probabilities` of logits divided by the temperature of the decision."""
        temperature = self.decision.temperature
        return self.probabilities(logits if temperature == 1 else logits / temperature)

    def masks(self, probabilities: Tensor) -> Tensor:
        """Returns the answers to yes/no questions by the decision, bool, in the shape of the probabilities."""
        if self.decision.plain:
            return reached(probabilities, self.threshold)
        return decided(probabilities, self.threshold, self.decision)

    def answer_from(self, probabilities: Tensor) -> Mapping[str, Any]:
        """Derives further values from the probabilities of one image, for the tables of images.

        By default there are none. Override it to add columns to `predictions.csv` and `images.csv`.

        Args:
            probabilities: (C, *spatial) float32, on the CPU; averaged over flips or runs if that is configured.

        Returns:
            Numbers, strings or booleans by name, with the same names for every image.
        """
        return {}

    def question(self) -> Question:
        """Returns a description of this task with its current thresholds, for code that does not have the task."""
        kind, names = self.target_kind, tuple(self.class_names)
        thresholds = tuple(self.threshold.tolist()) if kind.thresholds else ()
        if type(self).answer_from is Task.answer_from:
            return Question(self.name, kind, names, thresholds, decision=self.decision)
        trial = torch.full((len(names), 8, 8) if self.dense else (len(names),), 0.5)
        further = tuple(self.answer_from(trial))
        return Question(self.name, kind, names, thresholds, self.answer_from, further, self.decision)

    def _make_metric(self, make: Any) -> Metric:
        metric = make(**self.metric_arguments())
        if not isinstance(metric, Metric):
            raise ConfigError(
                f"{type(metric).__name__} among the metrics of task '{self.name}' is no torchmetrics metric"
            )
        if (size := getattr(metric, "for_channels", None)) is not None:
            size(self.channels)
        return metric

    def metric_arguments(self) -> dict[str, Any]:
        """Returns the arguments of each metric, for instance the number of classes."""
        return {}

    @property
    def class_names(self) -> Sequence[str]:
        """Names of the channels, for metrics with one value per channel."""
        return [str(index) for index in range(self.channels)]

    def attach(self, channels: FeatureChannels) -> None:
        """Builds the head for a network with these channels."""
        self.head = self.make_head(channels)

    def forward(self, features: Features) -> Tensor:
        """Maps shared features to logits, in the precision of training."""
        logits: Tensor = self.head(features)
        return logits

    def answer(self, logits: Tensor, batch: Mapping[str, Any]) -> TaskOutput | None:
        """Computes losses and probabilities of the labelled rows, or returns None if a batch has none.

        Args:
            logits: of the whole batch.
            batch: the batch, with this task's target if the data set has it.
        """
        target = self.read_target(batch)
        if target is None:
            return None
        rows = self.labelled(target).nonzero().squeeze(1)
        if not labelled_rows(self.name, len(rows)):
            return None
        taken = rows if len(rows) else rows.new_zeros(1)  # a row without target, if only other devices have some
        if len(taken) < len(target):
            logits, target = logits[taken], target[taken]
        terms = self.loss(logits, target)
        if isinstance(terms, Tensor):
            terms = {"": terms}
        weights = self.weights()
        losses = {name: weights.get(name, 1.0) * term for name, term in terms.items()}  # "" for a single term
        unweighted = {name: term.detach() for name, term in terms.items()}
        seen = logits.detach().float()
        extremes = torch.stack([seen.amin(), seen.amax()])
        probabilities, target = self.tempered(seen)[: len(rows)], target[: len(rows)]
        check_values(self.name, self.class_names, probabilities.shape)
        spacing = None if (whole := batch.get("spacing")) is None else whole[rows]
        ids = tuple(batch.get("id", ()))
        return TaskOutput(probabilities, target, losses, rows, extremes, unweighted, ids, spacing)

    def count_labelled(self, batch: Mapping[str, Any]) -> int:
        """Returns how many rows of a batch have this task's target."""
        target = self.read_target(batch)
        return 0 if target is None else int(self.labelled(target).sum())

    def prepare(self, samples: Samples) -> dict[str, float]:
        """Computes data-dependent loss options and the bias of the last layer from the training targets.

        Called before the first step. The checkpoint stores both, so a resumed run loads the stored values.

        Args:
            samples: the training split.

        Returns:
            The computed values, by dotted name below `tasks.<name>`; empty if no option needs any.

        Raises:
            ConfigError: if the head has no bias to set or the kind of target is not countable.
            DataError: if an answer never occurs in training.
        """
        given = None if isinstance(self.prior_bias, bool) else self.prior_bias
        asked = bool(deferred_losses(self.loss)) or (self.prior_bias is True)
        counts = count_answers(self, samples) if asked else None
        found = {} if counts is None else resolve_loss(self, counts)
        if self.prior_bias is not False:
            found |= set_prior_bias(self, counts, given)
        return {f"tasks.{self.name}.{key}": value for key, value in found.items()}

    def check_devices(self, count: int) -> None:
        """Checks whether this task can train on several devices; by default it can.

        Raises:
            ConfigError: if it trains on one device only, or a metric's counts cannot be added up over several.
        """
        if count > 1:
            for name, metric in self.meters["val"].metrics.items():
                check_shared(f"tasks.{self.name}.metrics.{name}", metric)

    def weights(self) -> dict[str, float]:
        """Returns the current epoch's weight of each named loss term; empty for a loss with a single term."""
        return dict(getattr(self.loss, "weights", {}))

    def moving(self) -> tuple[str, ...]:
        """Returns the named terms of the loss whose weight changes over the epochs."""
        return tuple(getattr(self.loss, "moving", ()))

    def begin_epoch(self, epoch: int) -> None:
        """Sets all scheduled values to those of an epoch, before its training and validation.

        Args:
            epoch: counted from 0; when a checkpoint is evaluated, the checkpoint's epoch.
        """
        set_epoch = getattr(self.loss, "set_epoch", None)
        if set_epoch is not None:
            set_epoch(epoch)

    def after_step(self, output: TaskOutput, batch: Mapping[str, Any]) -> None:
        """Runs after each training step in which this task had a target, for training with a separate optimiser.

        Does nothing by default. It uses the random state of the step, so that a resumed run draws the same numbers.

        Args:
            output: this task's output in that step.
            batch: the step's batch.
        """

    def update(self, output: TaskOutput, stage: str, thresholds_final: bool = False) -> None:
        """Adds a batch to the stage's running losses and metrics.

        Args:
            output: this task's output for the batch.
            stage: `train`, `val` or `test`.
            thresholds_final: whether thresholds are final; only then are mask metrics updated.
        """
        self.meters[stage].update(output, self.threshold if thresholds_final else None, self.masks)

    def reset(self, stage: str) -> None:
        """Discards what was added to a stage."""
        self.meters[stage].reset()

    def compute(self, stage: str) -> dict[str, Tensor]:
        """Returns the stage's losses and metrics by logged name, and resets them; empty if no row had a target.

        Each named term of the loss appears twice: `loss/<term>` with its weight, so that these terms add up to `loss`,
        and `loss/<term>/unweighted`. The training split also has `weight/<term>`, the weight in this epoch. If a
        probability is nan, every metric is nan; the first time, a warning names the images.
        """
        found = self.meters[stage].compute(f"{stage}/{self.name}")
        if found and stage == "train":
            found |= {f"weight/{name}": torch.tensor(weight) for name, weight in self.weights().items()}
        return {f"{stage}/{self.name}/{key}": value for key, value in found.items()}


def _check_name(what: str, name: str) -> None:
    """Validates a name: it becomes a key of torch's ModuleDict and part of logged names, where `loss` is reserved."""
    if not name.isidentifier() or name == "loss" or hasattr(MetricCollection([]), name):
        raise ConfigError(f"{what} cannot be called '{name}'; use letters, digits and _, but no name reserved by torch")

"""A task: one question about the shared features."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypedDict

import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

from tandem.data.datamodule import DataInfo
from tandem.data.samples import Samples
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
    """What every task's head can be told; documented in `Task`."""

    dropout: float
    prior_bias: bool | float


class Task(nn.Module, ABC):
    """One question: head, loss, metrics and threshold.

    A new task is a subclass that says which target it reads and how, and one yaml. Its `kind` may be a new one: it
    then needs a loss that names the same kind, and is trained, evaluated, predicted and exported with its raw values
    until `answer_from` or `target_kind` make more of them.

    Args:
        name: the task's name in the configuration and in logged values.
        data: what is known of the data.
        loss: takes (logits, target); of this task's `kind`.
        metrics: by name, functions that make a torchmetrics metric for this task's number of classes. A metric sees
            probabilities and targets of labelled rows, of a whole split.
        dropout: share of the features that is dropped in training before the last layer, in [0, 1).
        prior_bias: whether the last layer begins with the bias that answers with the shares of the answers in training
            (Lin et al., 2017); for yes/no questions also a share inside (0, 1). Needs a kind that can be counted.

    Attributes:
        kind: kind of target: `binary`, `multiclass`, ..., or a new word; a loss of another kind is refused.
        target: the entry of the batch that this task learns.
        dense: whether the head reads the decoder's map.
        channels: logits for one row or pixel.
        threshold: (channels,) where a probability counts as yes; found on validation data, kept in the checkpoint.

    Raises:
        ConfigError: a loss of another kind, or of none; a name that cannot be logged or kept; a value out of range.
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
            raise ConfigError(f"a loss is not chosen by name alone; write loss/{self.kind}@tasks.{name}.loss={loss}")
        kind = getattr(loss, "kind", None)
        if kind != self.kind:
            label = getattr(loss, "__name__", type(loss).__name__)
            raise ConfigError(
                f"the loss {label} is {f'a {kind} loss' if kind else 'of no kind'}, but this task needs a {self.kind} "
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
        # nn.ModuleDict refuses the key "train", a method's name; registered one by one, meters follow the task's device
        for stage, meters in self.meters.items():
            self.add_module(f"{stage}_meters", meters)
        self.register_buffer("threshold", torch.full((self.channels,), 0.5))

    @property
    def target_kind(self) -> Kind:
        """What tasks of this kind do: decide, count, show. Override it to bring a `Kind` of the task's own."""
        return kind_of(self.kind, self.dense)

    @property
    def needs(self) -> str:
        """Which of `DataInfo.offered` this task learns from."""
        return self.target

    @property
    @abstractmethod
    def channels(self) -> int:
        """Logits for one row or pixel."""

    @abstractmethod
    def make_head(self, channels: FeatureChannels) -> nn.Module:
        """The head: takes `Features`, gives logits."""

    def read_target(self, batch: Mapping[str, Any]) -> Tensor | None:
        """This task's target in a batch, or None where the data set has none."""
        return batch.get(self.target)

    @abstractmethod
    def labelled(self, target: Tensor) -> Tensor:
        """(N,) bool: which rows carry a target."""

    @abstractmethod
    def probabilities(self, logits: Tensor) -> Tensor:
        """Logits to probabilities; for other kinds of target, to what metrics compare with it.

        Args:
            logits: (N, channels, *spatial) float32.

        Returns:
            (N, C, *spatial), C the number of `class_names`.
        """

    def answer_from(self, probabilities: Tensor) -> Mapping[str, Any]:
        """What this task makes of the probabilities of one image: named plain values, for the tables of images.

        By default nothing beside what its kind shows. Override it to add columns to `predictions.csv` and `images.csv`.

        Args:
            probabilities: (C, *spatial) float32, on the CPU: a mean over mirror images or runs, where that is asked.

        Returns:
            Numbers, texts or booleans by name, the same names for every image.
        """
        return {}

    def question(self) -> Question:
        """What this task asks, with its thresholds as they are now, for those who read its answers without it."""
        kind, names = self.target_kind, tuple(self.class_names)
        thresholds = tuple(self.threshold.tolist()) if kind.thresholds else ()
        if type(self).answer_from is Task.answer_from:
            return Question(self.name, kind, names, thresholds)
        trial = torch.full((len(names), 8, 8) if self.dense else (len(names),), 0.5)
        return Question(self.name, kind, names, thresholds, self.answer_from, tuple(self.answer_from(trial)))

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
        """What each metric is told, for instance the number of classes."""
        return {}

    @property
    def class_names(self) -> Sequence[str]:
        """Names of the channels, for metrics that give one value for each."""
        return [str(index) for index in range(self.channels)]

    def attach(self, channels: FeatureChannels) -> None:
        """Builds the head for a network of these channels."""
        self.head = self.make_head(channels)

    def forward(self, features: Features) -> Tensor:
        """Shared features to logits, in whatever precision training uses."""
        logits: Tensor = self.head(features)
        return logits

    def answer(self, logits: Tensor, batch: Mapping[str, Any]) -> TaskOutput | None:
        """Losses and probabilities of the labelled rows, or None where a batch has none.

        Args:
            logits: of the whole batch.
            batch: with this task's target, if the data set has it.
        """
        target = self.read_target(batch)
        if target is None:
            return None
        rows = self.labelled(target).nonzero().squeeze(1)
        if len(rows) == 0:
            return None
        if len(rows) < len(target):
            logits, target = logits[rows], target[rows]
        terms = self.loss(logits, target)
        if isinstance(terms, Tensor):
            terms = {"": terms}
        weights = self.weights()
        losses = {name: weights.get(name, 1.0) * term for name, term in terms.items()}  # "" is a loss of one term
        unweighted = {name: term.detach() for name, term in terms.items()}
        seen = logits.detach().float()
        extremes = torch.stack([seen.amin(), seen.amax()])
        probabilities = self.probabilities(seen)
        check_values(self.name, self.class_names, probabilities.shape)
        return TaskOutput(probabilities, target, losses, rows, extremes, unweighted)

    def prepare(self, samples: Samples) -> dict[str, float]:
        """Before the first step: gives the loss and the last layer what they take from the training targets.

        The loss's part is in the checkpoint; the bias is one of its weights, so a resumed run overwrites it.

        Args:
            samples: the training split, and no other.

        Returns:
            What was computed, by dotted name below `tasks.<name>`; empty where nothing was asked for.

        Raises:
            ConfigError: a head without a bias to set, a kind of target that cannot be counted.
            DataError: an answer that never occurs in training.
        """
        given = None if isinstance(self.prior_bias, bool) else self.prior_bias
        asked = bool(deferred_losses(self.loss)) or (self.prior_bias is True)
        counts = count_answers(self, samples) if asked else None
        found = {} if counts is None else resolve_loss(self, counts)
        if self.prior_bias is not False:
            found |= set_prior_bias(self, counts, given)
        return {f"tasks.{self.name}.{key}": value for key, value in found.items()}

    def check_devices(self, count: int) -> None:
        """Refuses several devices where this task cannot learn on them; by default it can.

        Raises:
            ConfigError: if it learns something on one device only.
        """

    def weights(self) -> dict[str, float]:
        """The weight of each named term of the loss in the current epoch; empty for a loss of one term."""
        return dict(getattr(self.loss, "weights", {}))

    def moving(self) -> tuple[str, ...]:
        """The named terms of the loss whose weight changes over the epochs."""
        return tuple(getattr(self.loss, "moving", ()))

    def begin_epoch(self, epoch: int) -> None:
        """Before an epoch of training and its validation: whatever is scheduled takes the values of that epoch.

        Args:
            epoch: counted from 0; that of the checkpoint, where one is evaluated.
        """
        set_epoch = getattr(self.loss, "set_epoch", None)
        if set_epoch is not None:
            set_epoch(epoch)

    def after_step(self, output: TaskOutput, batch: Mapping[str, Any]) -> None:
        """After each training step in which this task had a target: what it learns by an optimiser of its own.

        By default nothing. Random numbers are those of the step, so that a resumed run draws them again.

        Args:
            output: this task's answer in that step.
            batch: the step's batch.
        """

    def update(self, output: TaskOutput, stage: str, thresholds_final: bool = False) -> None:
        """Adds a batch to the stage's running losses and metrics.

        Args:
            output: of the batch.
            stage: `train`, `val` or `test`.
            thresholds_final: whether thresholds are final, so that metrics of masks are updated.
        """
        self.meters[stage].update(output, self.threshold if thresholds_final else None)

    def reset(self, stage: str) -> None:
        """Forgets what was added to a stage."""
        self.meters[stage].reset()

    def compute(self, stage: str) -> dict[str, Tensor]:
        """The stage's losses and metrics under their logged names, and starts anew; empty if no row had a target.

        Each named term of the loss is there twice: `loss/<term>` as it enters the sum, with its weight, so that these
        add up to `loss`; and `loss/<term>/unweighted`. Of the training split, `weight/<term>` is that of the epoch.
        """
        found = self.meters[stage].compute()
        if found and stage == "train":
            found |= {f"weight/{name}": torch.tensor(weight) for name, weight in self.weights().items()}
        return {f"{stage}/{self.name}/{key}": value for key, value in found.items()}


def _check_name(what: str, name: str) -> None:
    """Names become keys of torch's ModuleDict and parts of logged names, where `loss` stands for the task's own."""
    if not name.isidentifier() or name == "loss" or hasattr(MetricCollection([]), name):
        raise ConfigError(f"{what} cannot be called '{name}'; use letters, digits and _, but no word of torch's own")

"""Typed schemas of the primary configurations: Hydra rejects unlisted keys when it composes one."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


@dataclass
class LoaderConfig:
    """Options of data loaders: batch size, worker processes (0 is best for data in memory), rows and their targets."""

    batch_size: int = 16
    workers: int = 0
    sampling: Any = "uniform"
    masks: float = 1.0
    labels: float = 1.0
    incomplete: str = "keep"


@dataclass
class CheckpointConfig:
    """How often `last.ckpt` is saved: after every so many steps (null: at the end of each epoch), and Slurm's queue."""

    every_n_steps: int | None = None
    requeue: bool = False


@dataclass
class ParametersConfig:
    """How the optimiser treats groups of parameters."""

    decay_all: bool = False
    lr_factors: Any = None
    layer_decay: Any = None


@dataclass
class TrainConfig:
    """Schema of `conf/train.yaml`."""

    name: str = MISSING
    seed: int = 0
    runs: str = "runs"
    full: bool = False
    decide: Any = "threshold"
    on_changed_data: str = "refuse"
    resume_from: str | None = None
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    monitor: str = "auto"
    mode: str = "auto"
    monitors: Any = None
    data: Any = MISSING
    augment: Any = MISSING
    loader: LoaderConfig = field(default_factory=LoaderConfig)
    network: Any = MISSING
    tasks: Any = MISSING
    balance: Any = MISSING
    optimizer: Any = MISSING
    scheduler: Any = None
    parameters: ParametersConfig = field(default_factory=ParametersConfig)
    penalties: Any = None
    trainer: Any = MISSING
    performance: Any = MISSING
    callbacks: Any = MISSING
    logger: Any = MISSING


@dataclass
class SearchConfig:
    """A learning-rate range test: first and last rate, and number of steps."""

    low: float = 1e-6
    high: float = 1.0
    steps: int = 100


@dataclass
class FindLrConfig(TrainConfig):
    """Schema of `conf/find_lr.yaml`: that of `train.yaml` and the range test."""

    find_lr: SearchConfig = field(default_factory=SearchConfig)


@dataclass
class AdaptiveConfig:
    """An adaptive search: number of trials and processes, search space, and objectives."""

    n_trials: int = 30
    n_jobs: int = 1
    seed: int = 0
    startup: int = 10
    objectives: Any = None
    pruner: Any = MISSING
    space: Any = None
    mixed: bool = False


@dataclass
class AdaptiveSearchConfig(TrainConfig):
    """Schema of `conf/search.yaml`: that of `train.yaml` and the search."""

    search: AdaptiveConfig = field(default_factory=AdaptiveConfig)


@dataclass
class HalfTrainedConfig:
    """A synthetic prediction: logits = signal (2 blurred mask - 1) + noise. Blur in pixels, the rest in logits."""

    blur: float = 3.0
    signal: float = 3.0
    noise: float = 1.5
    seed: int = 0


@dataclass
class ExplainLossConfig:
    """Schema of `conf/explain_loss.yaml`."""

    name: str = MISSING
    runs: str = "runs"
    out: str = MISSING
    loss: Any = None
    data: Any = MISSING
    split: str = "val"
    masks: int = 256
    batch_size: int = 16
    epoch: int = 0
    border: int = 2
    hard: float = 0.5
    overwrite: bool = False
    half_trained: HalfTrainedConfig = field(default_factory=HalfTrainedConfig)


@dataclass
class ExportConfig:
    """Schema of `conf/export.yaml`."""

    run: str = MISSING
    format: str = "onnx"
    threshold: Any = "stored"
    decide: Any = "stored"
    out: str | None = None
    overwrite: bool = False
    tolerance: float = 1e-4


@dataclass
class EvaluateConfig:
    """Schema of `conf/evaluate.yaml`."""

    run: str = MISSING
    split: str | None = None
    threshold: Any = "stored"
    decide: Any = "stored"
    batch_size: int | None = None
    device: str | None = None
    masks: bool = True
    cases: int = 3
    page: bool = True
    samples: int = 1000
    seed: int = 0
    flips: bool = False
    native: Any = "auto"
    windows: Any = "none"
    data: Any = None
    classes: Any = None
    overlap: str = "refuse"
    by: Any = None
    table: str | None = None
    site: str | None = None


@dataclass
class PredictConfig:
    """Schema of `conf/predict.yaml`."""

    run: Any = MISSING
    images: str = MISSING
    out: str = MISSING
    threshold: Any = "stored"
    decide: Any = "stored"
    flips: bool = False
    overlays: bool = False
    batch_size: int = 16
    device: str = "auto"
    overwrite: bool = False
    mixed: bool = False
    skip_masks: bool = True
    windows: Any = "none"
    data: Any = None


@dataclass
class ShowDataConfig:
    """Schema of `conf/show_data.yaml`."""

    data: Any = MISSING
    augment: Any = None
    split: str = "train"
    images: int = 6
    versions: int = 4
    seed: int = 0
    overwrite: bool = False
    out: str = MISSING


@dataclass
class AuditDataConfig:
    """Schema of `conf/audit_data.yaml`."""

    data: Any = MISSING
    distance: int | None = 80
    correlation: float = 0.85
    compare_up_to: int = 20_000
    images: int = 24
    overwrite: bool = False
    out: str = MISSING


@dataclass
class WriteShardsConfig:
    """Schema of `conf/write_shards.yaml`."""

    data: Any = MISSING
    shard_mb: float = 64.0
    out: str = MISSING


@dataclass
class PlanConfig:
    """Schema of `conf/plan.yaml`."""

    data: Any = MISSING
    name: str = MISSING
    out: str = "plans"
    budget: Any = "30m"
    calibrate: bool = True
    run: bool = False
    runs: str = "runs"
    overwrite: bool = False


@dataclass
class DoctorConfig:
    """Schema of `conf/doctor.yaml`."""

    data: Any = None
    runs: str = "runs"
    self_test: bool = True
    out: str | None = None
    overwrite: bool = False


@dataclass
class ListRunsConfig:
    """Schema of `conf/list_runs.yaml`."""

    runs: str = "runs"
    name: str | None = None
    state: Any = None
    compare: Any = None
    sort: str = "when"
    format: str = "table"
    full: bool = False
    delete: Any = None


@dataclass
class YoursConfig:
    """The reader's own paths; studies and budgets of a paper refer to them, for instance as `%data.root%`."""

    root: str | None = None
    file: str | None = None
    subset: str | None = None
    weights: str | None = None


@dataclass
class ReproduceConfig:
    """Schema of `conf/reproduce.yaml`."""

    paper: Any = None
    budget: str | None = None
    runs: str = "runs"
    out: str | None = None
    launch: bool = True
    verify: Any = 0
    seed: int = 0
    tolerance: float = 0.02
    archive: Any = None
    rerun: bool = False
    against: str | None = None
    overwrite: bool = False
    mixed: bool = False
    data: YoursConfig = field(default_factory=YoursConfig)


EXTENDED = {"find_lr": FindLrConfig, "search": AdaptiveSearchConfig}
"""Primary configurations that extend `train.yaml`, with their schemas."""

"""Every option of every config group composes and trains one tiny epoch."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from tandem.config.identity import run_hash
from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.factory import make_data, make_module
from tandem.train.run import train

SHORT = {
    "adversary": ("standard",),
    "augment": ("light",),
    "balance": ("uncertainty", "pcgrad"),
    "callbacks": ("default", "ema"),
    "data": ("phantom", "busi"),
    "experiment": ("tiny", "busi", "curated_busi_best"),
    "logger": ("tensorboard",),
    "metrics": ("classification", "segmentation"),
    "network": ("unet", "dpt"),
    "optimizer": ("adamw",),
    "penalties": ("l2",),
    "performance": ("exact",),
    "scheduler": ("cosine",),
    "study": ("focal_grid",),
    "task": ("area", "embedding", "yes_no"),
    "trainer": ("default",),
}
"""What the short form trains; it builds data, network and tasks of all others, and the full form trains them."""

TINY = [
    "experiment=tiny",
    "data.train=12",
    "data.val=12",
    "data.test=12",
    "data.seed=3",  # every class is in every split of so few
    "trainer.enable_progress_bar=false",
    "trainer.num_sanity_val_steps=0",
    "callbacks.panels=null",  # figures take half of the time of a run of 12 images
    "callbacks.tracking=null",
    "logger=none",
]

DERMA = [
    "data.stand_in=true",
    "data.share=0.01",
    "trainer.max_epochs=1",
    "trainer.accelerator=cpu",
    "network.backbone=small_cnn",
    *TINY[5:],
]

SHRINK = {
    "demo": ["data.size=32", "trainer.max_epochs=1", *TINY[1:]],
    "busi": [
        "data.size=32",
        "trainer.max_epochs=1",
        "trainer.accelerator=cpu",
        "network.backbone=small_cnn",
        *TINY[5:],
    ],
    **{
        f"curated_busi{row}": ["data.size=32", "trainer.max_epochs=1", "trainer.accelerator=cpu", *TINY[5:]]
        for row in ("", "_best", "_best_cls", "_best_seg", "_cls", "_cls_sampled", "_mt", "_mt_sampled", "_seg")
    },
    "tiny": TINY[1:],
    "collapse": ["trainer.max_epochs=1", *TINY[1:]],
    "recovered": ["trainer.max_epochs=1", *TINY[1:]],
    "dermamnist_scratch": DERMA,
    "dermamnist_transfer": [*DERMA, "network.pretrained=false"],
}
"""How each experiment is made small without changing what it is."""

# The task that a group inside a task is tried on; its options are chosen with group@tasks.<task>....
TASK = {
    "loss/binary": "segmentation",
    "loss/multiclass": "classification",
    "loss/regression": "regression",
    "loss/embedding": "embedding",
    "adversary": "segmentation",
}
METRICS = {
    "none": "segmentation",
    "segmentation": "segmentation",
    "surface": "segmentation",
    "classification": "classification",
    "regression": "regression",
    "retrieval": "embedding",
}

# Parts that other options are made of, not choices.
PARTS = {"shared", "local", "network/shared", "adversary/shared"}

# Groups of other commands than training, and launchers of sweeps, tried in their own tests.
OTHERS = {"paper", "refine", "hydra/launcher"}


# Options that need files, trained on small copies of them in tests/data/test_sources.py; several runs (a study, a
# search) elsewhere too.
ELSEWHERE = {
    *(
        ("data", option)
        for option in ("coco", "dermamnist", "folder", "isic2018", "medmnist", "mixed", "oxford_pet", "ph2", "streamed")
    ),
    *(("task", option) for option in ("column", "multilabel", "number", "semantic")),
    *(("metrics", option) for option in ("semantic", "yes_no")),
    *(("study", option) for option in ("curated_busi", "dermamnist")),
    *(
        ("experiment", option) for option in ("pneumoniamnist", "pneumoniamnist_yes_no")
    ),  # in tests/paper/test_shipped.py
    *(("logger", option) for option in ("csv", "mlflow", "trackio", "wandb")),  # in tests/trackers, all at once
    *(("search", option) for option in ("dice_accuracy", "focal", "losses")),
    *(("search/pruner", option) for option in ("hyperband", "median", "none")),
}


def options() -> list[tuple[str, str]]:
    """Each (group, option) of the shipped configuration."""
    root = config_folder()
    found = [(path.parent.relative_to(root).as_posix(), path.stem) for path in sorted(root.rglob("*/*.yaml"))]
    assert set(found) >= ELSEWHERE
    return [
        (group, option) for group, option in found if group not in PARTS | OTHERS and (group, option) not in ELSEWHERE
    ]


def run(overrides: list[str], folder: Path) -> dict[str, float]:
    """Composes as the command line would, trains, gives the metrics."""
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("train", [*overrides, f"runs={folder}"])
    results = train(resolve(config), folder)
    assert isinstance(results["metrics"], dict)
    return results["metrics"]


def overrides_for(group: str, option: str, busi_tree: Callable[[int], Path]) -> list[str]:
    """What is typed to try one option on tiny data."""
    uses_busi = option == "busi" and group in ("data", "experiment")
    root = []
    if uses_busi or option.startswith("curated_busi"):
        root = [f"data.root={busi_tree(8)}", "data.groups=none", "data.fractions={train: 0.5, val: 0.25, test: 0.25}"]
    if option.startswith("curated_busi"):
        root.append("data.subset=null")
    if group == "experiment":
        return [f"experiment={option}", *SHRINK[option], *root]
    if group == "data" and uses_busi:
        return ["experiment=tiny", "data=busi", *root, *TINY[5:]]
    backbone = ["network.backbone=mobilenetv2_050"] if group == "network" else []  # some decoders dilate it
    size = ["data.size=128"] if option == "pan" else []  # it halves the deepest map three times
    if option == "dpt":  # it reads a plain vision transformer
        backbone, size = ["network.backbone=test_vit"], ["data.size=64"]
    task = METRICS[option] if group == "metrics" else TASK.get(group)
    if task:
        place = group if group in ("metrics", "adversary") else "loss"
        return [*TINY, f"task={task}", f"{group}@tasks.{task}.{place}={option}"]
    seconds = ["performance.seconds=1"] if group == "performance" and option != "exact" else []
    return [*TINY, f"{group}={option}", *backbone, *size, *seconds]


@pytest.mark.parametrize(
    ("group", "option"),
    [
        pytest.param(group, option, marks=[] if option in SHORT.get(group, ()) else [pytest.mark.full])
        for group, option in options()
    ],
    ids=lambda value: str(value),
)
def test_every_option_trains_one_tiny_epoch(
    group: str, option: str, tmp_path: Path, busi_tree: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    words = [word for word in overrides_for(group, option, busi_tree) if word != "logger=none" or group != "logger"]
    metrics = run(words, tmp_path / "run")
    for file in ("results.json", "best.ckpt", "last.ckpt", "metrics.csv", "splits.csv", "config.yaml", "report.html"):
        assert (tmp_path / "run" / file).stat().st_size > 0
    assert "test/loss" in metrics


@pytest.mark.parametrize(
    ("group", "option"),
    [(group, option) for group, option in options() if option not in SHORT.get(group, ())],
    ids=lambda value: str(value),
)
def test_every_option_is_built(group: str, option: str, busi_tree: Callable[[int], Path], tmp_path: Path) -> None:
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = resolve(compose("train", [*overrides_for(group, option, busi_tree), f"runs={tmp_path}"]))
    module = make_module(config, make_data(config).info)
    assert module.tasks
    if group.startswith("loss/"):
        assert module.tasks[TASK[group]].loss.kind == group.removeprefix("loss/")


NEEDS = {"curated_busi": ["data.root=x", "data.subset=y"]}
"""What a study cannot do without."""

STUDIES = sorted(path.stem for path in (config_folder() / "study").glob("*.yaml"))


@pytest.mark.parametrize("study", STUDIES)
def test_every_job_of_a_study_composes(study: str) -> None:
    register()
    needs = NEEDS.get(study, [])
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        whole = compose("train", [f"study={study}", *needs, "hydra.run.dir=x"], return_hydra_config=True)
        assert whole.hydra.mode.name == "MULTIRUN"
        for key, values in whole.hydra.sweeper.params.items():
            each = ["dice", "focal"] if values == "glob(*)" else str(values).split(",")
            jobs = [compose("train", [f"study={study}", f"{key}={value}", *needs]) for value in each]
            hashes = {run_hash(resolve(job)) for job in jobs}
            assert len(hashes) == len(each), "each value is a run of its own"


def test_one_task_alone_is_the_matched_baseline(tmp_path: Path) -> None:
    classification = run([*TINY, "task=classification"], tmp_path / "class")
    segmentation = run([*TINY, "task=segmentation"], tmp_path / "mask")
    assert {key.split("/")[1] for key in classification} == {"classification", "loss"}
    assert {key.split("/")[1] for key in segmentation} == {"segmentation", "loss"}

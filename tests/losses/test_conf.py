"""Every loss in conf/loss composes, builds with all its hyperparameters, and can be swept and swapped."""

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig

from tandem.losses import KINDS, Composite
from tandem.losses.binary import BCE, BCEFocal, Dice, Focal

CONF = Path(__file__).parents[2] / "conf"
FILES = sorted((CONF / "loss").glob("*/*.yaml"))
HERE = "tasks.segmentation.loss"


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(overrides=list(overrides)).tasks.segmentation.loss
    assert isinstance(config, DictConfig)
    return config


def built(*overrides: str) -> Any:
    return instantiate(composed(*overrides), _convert_="all")


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_file_builds_a_loss_of_its_folder_and_names_all_options(path: Path) -> None:
    kind, name = path.parent.name, path.stem
    assert kind in KINDS
    choice = f"+loss/{kind}@{HERE}={name}"
    assert built(choice).kind == kind
    config = composed(choice)
    assert set(config) - {"_target_"} == set(inspect.signature(get_class(config["_target_"])).parameters)


CATALOGUE = {
    "binary": "bce balanced_bce focal bce_focal dice jaccard tversky focal_tversky dice_bce dice_focal unified_focal "
    "lovasz hinge asymmetric brier boundary hausdorff cldice",
    "multiclass": "cross_entropy focal dice tversky dice_ce dice_focal lovasz hinge poly",
    "regression": "mse mae huber",
    "embedding": "contrastive triplet supcon",
}


@pytest.mark.parametrize("kind", CATALOGUE)
def test_the_files_of_the_catalogue_are_there(kind: str) -> None:
    assert {path.stem for path in FILES if path.parent.name == kind} >= set(CATALOGUE[kind].split())


def test_options_reach_the_loss() -> None:
    loss = built(f"+loss/binary@{HERE}=bce_focal", f"{HERE}.gamma=1", f"{HERE}.alpha=0.25", f"{HERE}.bce_weight=2")
    assert isinstance(loss, BCEFocal)
    focal = loss.terms["focal"]
    assert isinstance(focal, Focal)
    assert (focal.gamma, focal.alpha) == (1, 0.25)
    assert loss.weights == {"bce": 2, "focal": 0.5}


def test_terms_of_a_composite_can_be_swept_and_swapped() -> None:
    choice = f"+loss/binary@{HERE}=dice_bce"
    loss = built(choice, f"{HERE}.terms.dice.per=batch", f"{HERE}.weights.bce=0.5")
    assert isinstance(loss, Composite)
    assert loss.weights == {"dice": 1, "bce": 0.5}
    dice = loss.terms["dice"]
    assert isinstance(dice, Dice)
    assert dice.per == "batch"
    assert isinstance(loss.terms["bce"], BCE)
    swapped = built(choice, f"loss/binary@{HERE}.terms.bce=focal", f"{HERE}.terms.bce.gamma=1")
    assert isinstance(swapped.terms["bce"], Focal)
    assert swapped.terms["bce"].gamma == 1


@pytest.mark.parametrize(
    ("kind", "choice", "terms"),
    [
        ("binary", "dice_focal", {"dice": "Dice", "focal": "Focal"}),
        ("multiclass", "dice_ce", {"dice": "Dice", "ce": "CrossEntropy"}),
        ("multiclass", "dice_focal", {"dice": "Dice", "focal": "Focal"}),
    ],
)
def test_composites_are_written_in_yaml_alone(kind: str, choice: str, terms: dict[str, str]) -> None:
    loss = built(f"+loss/{kind}@{HERE}={choice}")
    assert type(loss) is Composite
    assert {name: type(term).__name__ for name, term in loss.terms.items()} == terms
    assert loss.weights == dict.fromkeys(terms, 1)


def test_lists_and_dicts_of_hydra_are_accepted_as_they_are() -> None:
    loss = instantiate(composed(f"+loss/multiclass@{HERE}=cross_entropy", f"{HERE}.weight=[1,3]"))
    assert torch.equal(loss.weight, torch.tensor([1.0, 3.0]))
    composite = instantiate(composed(f"+loss/binary@{HERE}=dice_bce"))
    assert composite.weights == {"dice": 1, "bce": 1}

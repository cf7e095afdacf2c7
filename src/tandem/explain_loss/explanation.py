"""Computes everything that the page shows about some settings of a loss; draws and writes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tandem.config.instantiate import build
from tandem.errors import ConfigError, TandemError
from tandem.explain_loss.curves import Curve, loss_curves
from tandem.explain_loss.masks import data_moments, describe_masks, read_masks
from tandem.explain_loss.shares import Moment
from tandem.explain_loss.worked import worked_counts, worked_moments
from tandem.losses import Composite
from tandem.losses.data_dependent import resolve

SHOWN = ("binary", "multiclass", "regression")
"""Kinds of loss that can be shown."""


@dataclass(frozen=True)
class Explanation:
    """The content of a page.

    Attributes:
        title: the loss as typed on the command line.
        kind: its kind of target.
        nodes: configuration of each setting's loss, by label.
        curves: curves of each setting, by label.
        masks: description of the masks used; empty for a regression.
        computed: hyperparameters computed from the training masks, a line each.
        moments: gradient shares on those masks; empty for a regression.
        example: gradient shares on the worked example; empty for a regression.
        config: the resolved root of `explain_loss.yaml`.
    """

    title: str
    kind: str
    nodes: Mapping[str, Any]
    curves: Mapping[str, list[Curve]]
    masks: str
    computed: list[str]
    moments: list[Moment]
    example: list[Moment]
    config: Mapping[str, Any]


def explain_losses(title: str, nodes: Mapping[str, Any], config: Mapping[str, Any]) -> Explanation:
    """Builds each setting's loss and computes its curves and gradient shares.

    Args:
        title: the loss as typed on the command line.
        nodes: configuration of each setting's loss, by label.
        config: the resolved root of `explain_loss.yaml`; its own `loss` is not used.

    Raises:
        ConfigError: a loss cannot be built, has no probabilities or does not fit two classes.
        DataError: the data cannot be read, or no mask has a lesion.
    """
    losses = {label: _build(node, config["epoch"]) for label, node in nodes.items()}
    kind = _kind(losses)
    if kind == "regression":
        return Explanation(title, kind, nodes, _curves(losses), "", [], [], [], config)
    masks = read_masks(config["data"], config["split"], config["masks"])
    computed = [f"{label}: {name} = {value:.4g}" for label, name, value in _resolve(losses, masks.counts)]
    # the worked example has class statistics of its own
    example = {label: _build(node, config["epoch"]) for label, node in nodes.items()}
    _resolve(example, worked_counts())
    return Explanation(
        title,
        kind,
        nodes,
        _curves(losses),
        describe_masks(masks),
        computed,
        data_moments(losses, masks.masks, config),
        worked_moments(example),
        config,
    )


def _build(node: Any, epoch: int) -> nn.Module:
    loss: nn.Module = build(node, "loss")
    if isinstance(loss, Composite):
        loss.set_epoch(epoch)
    return loss


def _resolve(losses: Mapping[str, nn.Module], counts: tuple[int, int]) -> list[tuple[str, str, float]]:
    """Sets the data-dependent hyperparameters of the losses; returns label, name and value of each.

    Args:
        losses: losses of the kind `binary` or `multiclass`, by label.
        counts: number of background and of lesion pixels.
    """
    found = []
    for label, loss in losses.items():
        answers = torch.tensor(counts)
        shape = answers.view(1, 2) if loss.kind == "binary" else answers
        names = ("lesion",) if loss.kind == "binary" else ("background", "lesion")
        found += [(label, name, value) for name, value in resolve(loss, shape, names).items()]
    return found


def _kind(losses: Mapping[str, nn.Module]) -> str:
    """Returns the kind of all settings, which must be the same."""
    for loss in losses.values():
        if getattr(loss, "kind", None) not in SHOWN:
            raise ConfigError(
                f"{type(loss).__name__} has no curve: an embedding loss compares images with each other and has no "
                "probabilities; choose one of loss/binary, loss/multiclass or loss/regression"
            )
    kinds = sorted({str(loss.kind) for loss in losses.values()})
    if len(kinds) > 1:
        raise ConfigError(f"losses of several kinds ({', '.join(kinds)}) do not fit into one figure; choose one kind")
    return kinds[0]


def _curves(losses: Mapping[str, nn.Module]) -> dict[str, list[Curve]]:
    found = {}
    for label, loss in losses.items():
        try:
            found[label] = loss_curves(loss)
        except TandemError as error:  # most often, class weights for more than two classes
            fix = "; a multiclass loss is shown on two, background and lesion" if loss.kind == "multiclass" else ""
            raise type(error)(f"{label}: {error}{fix}") from error
    return found

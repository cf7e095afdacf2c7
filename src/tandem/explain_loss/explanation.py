"""All there is to be said about some settings of a loss, as numbers; nothing is drawn or written here."""

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
    """What a page says.

    Attributes:
        title: the loss as it was typed.
        kind: its kind of target.
        nodes: configuration of each setting's loss, by label.
        curves: curves of each setting, by label.
        masks: the masks that were looked at, in words; empty for a regression.
        computed: knobs that follow from the training masks, a line each.
        moments: shares on those masks; none for a regression.
        example: shares on the worked example; none for a regression.
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
    """Builds each setting's loss and works out what it pulls at.

    Args:
        title: the loss as it was typed.
        nodes: configuration of each setting's loss, by label.
        config: the resolved root of `explain_loss.yaml`; its own loss is not read.

    Raises:
        ConfigError: a loss that cannot be built, that knows no probabilities or does not fit two classes.
        DataError: data that cannot be read, or without masks of lesions.
    """
    losses = {label: _build(node, config["epoch"]) for label, node in nodes.items()}
    kind = _kind(losses)
    if kind == "regression":
        return Explanation(title, kind, nodes, _curves(losses), "", [], [], [], config)
    masks = read_masks(config["data"], config["split"], config["pictures"])
    computed = [f"{label}: {name} = {value:.4g}" for label, name, value in _settle(losses, masks.counts)]
    # the example is a data set of its own
    anew = {label: _build(node, config["epoch"]) for label, node in nodes.items()}
    _settle(anew, worked_counts())
    return Explanation(
        title,
        kind,
        nodes,
        _curves(losses),
        describe_masks(masks),
        computed,
        data_moments(losses, masks.masks, config),
        worked_moments(anew),
        config,
    )


def _build(node: Any, epoch: int) -> nn.Module:
    loss: nn.Module = build(node, "loss")
    if isinstance(loss, Composite):
        loss.set_epoch(epoch)
    return loss


def _settle(losses: Mapping[str, nn.Module], counts: tuple[int, int]) -> list[tuple[str, str, float]]:
    """Settles the knobs that follow from the training masks; gives label, knob and value of each.

    Args:
        losses: of the kind `binary` or `multiclass`, by label.
        counts: pixels of background and of lesion.
    """
    found = []
    for label, loss in losses.items():
        answers = torch.tensor(counts)
        shape = answers.view(1, 2) if loss.kind == "binary" else answers
        names = ("lesion",) if loss.kind == "binary" else ("background", "lesion")
        found += [(label, name, value) for name, value in resolve(loss, shape, names).items()]
    return found


def _kind(losses: Mapping[str, nn.Module]) -> str:
    """The kind that all settings share."""
    for loss in losses.values():
        if getattr(loss, "kind", None) not in SHOWN:
            raise ConfigError(
                f"{type(loss).__name__} has no curve: an embedding loss compares images with each other, and knows "
                "no probability; choose one of loss/binary, loss/multiclass or loss/regression"
            )
    kinds = sorted({str(loss.kind) for loss in losses.values()})
    if len(kinds) > 1:
        raise ConfigError(f"losses of several kinds ({', '.join(kinds)}) do not fit into one image; choose one kind")
    return kinds[0]


def _curves(losses: Mapping[str, nn.Module]) -> dict[str, list[Curve]]:
    found = {}
    for label, loss in losses.items():
        try:
            found[label] = loss_curves(loss)
        except TandemError as error:  # above all, weights of other than two classes
            mend = "; a multiclass loss is shown on two, background and lesion" if loss.kind == "multiclass" else ""
            raise type(error)(f"{label}: {error}{mend}") from error
    return found

"""The layers of a backbone, from the image to its last one, for a learning rate that falls towards the image."""

import math
from typing import Any

from tandem.errors import ConfigError
from tandem.network.network import Network

WHERE = "network.encoder.model."
"""How names of the backbone's parameters begin."""


def layer_factors(network: Any, decay: float | None) -> dict[str, float]:
    """Learning rate of each of the backbone's parameters, in units of its own: decay^(last layer - its layer).

    Layers are those of timm: the embedding, then each block; the last normalisation belongs to the last block. Decoder
    and heads have the factor 1.

    Args:
        network: the network.
        decay: in (0, 1]; None or 1: no parameter has a factor.

    Raises:
        ConfigError: if the value is none, or the network is no built-in one.

    Source: Bao, Dong, Piao and Wei, BEiT: BERT Pre-Training of Image Transformers, 2022.
    """
    if decay is None:
        return {}
    if isinstance(decay, bool) or not isinstance(decay, int | float) or not 0 < decay <= 1 or math.isnan(decay):
        raise ConfigError(f"parameters.layer_decay is {decay!r}, but must be null or a number in (0, 1]")
    if not isinstance(network, Network) or not hasattr(network.encoder, "model"):
        raise ConfigError("parameters.layer_decay needs a timm backbone; set it to null, or use parameters.lr_factors")
    from timm.models import group_parameters
    from timm.optim._param_groups import auto_group_layers

    model: Any = network.encoder.model
    if hasattr(model, "group_matcher"):
        layers = group_parameters(model, model.group_matcher(coarse=False), reverse=True)
    else:
        layers = auto_group_layers(model)
    last = max(layers.values())
    return {f"{WHERE}{name}": float(decay) ** (last - layer) for name, layer in layers.items()}

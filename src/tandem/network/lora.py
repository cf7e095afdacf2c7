r"""Low-rank adapters in a frozen backbone, through peft.

A layer's frozen weights \(W\) are joined by two small trained ones: \(y = W x + b + \frac{\alpha}{r} B A x\), with
\(A\) of \(r\) rows and \(B\) of \(r\) columns. \(B\) is 0 at the start: the network begins as the frozen one.

Source: Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, 2022; the layers are those of the package peft.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from math import inf
from typing import Any

import torch
from torch import Tensor, nn

from tandem.config.suggest import nearest
from tandem.errors import ConfigError
from tandem.network.decoder import trial
from tandem.utils.optional import load

WORDS: Mapping[str, tuple[str, ...]] = {
    "attention": tuple(f"attn.{layer}" for layer in ("qkv", "q", "k", "v", "q_proj", "k_proj", "v_proj", "proj")),
    "mlp": tuple(f"mlp.{layer}" for layer in ("fc1", "fc2", "fc1_g", "fc1_x", "w1", "w2", "w3", "w12")),
}
"""Layers of timm's transformers that `targets` may name by one word, by the end of their names."""

BASE, DOWN, UP = ".base_layer.weight", ".lora_A.default.weight", ".lora_B.default.weight"
"""How names end in the state of an adapted layer, as peft has them."""

SCALE = "lora_scale"
r"""Name of the encoder's buffer with \(\alpha / r\), so that a checkpoint says all that its merged weights need."""

SHOWN = 8
"""Most names of layers in a message."""


@dataclass(frozen=True)
class Lora:
    r"""What `network.lora` asks for.

    Attributes:
        rank: \(r\), at least 1; 0 for no adapters.
        alpha: \(\alpha\), above 0.
        dropout: share of an adapter's inputs that is dropped in training, in [0, 1).
        targets: which layers: `attention`, `mlp`, or ends of names in timm.

    Raises:
        ConfigError: a value out of range.
    """

    rank: int = 0
    alpha: float = 16.0
    dropout: float = 0.0
    targets: Sequence[str] = ("attention",)

    def __post_init__(self) -> None:
        """Checks the values."""
        if isinstance(self.rank, bool) or not isinstance(self.rank, int) or self.rank < 0:
            raise ConfigError(f"network.lora.rank is {self.rank!r}, but must be a whole number from 0 (no adapters)")
        if not _is_number(self.alpha) or not 0 < self.alpha < inf:
            raise ConfigError(f"network.lora.alpha is {self.alpha!r}, but must be a number above 0")
        if not _is_number(self.dropout) or not 0 <= self.dropout < 1:
            raise ConfigError(f"network.lora.dropout is {self.dropout!r}, but must lie in [0, 1)")
        words = [self.targets] if isinstance(self.targets, str) else self.targets
        if not isinstance(words, Sequence) or not words or not all(isinstance(word, str) and word for word in words):
            raise ConfigError(
                f"network.lora.targets is {self.targets!r}, but must name layers: [attention], [attention, mlp], or "
                "ends of their names in timm, such as [attn.qkv]"
            )
        object.__setattr__(self, "targets", tuple(words))


def read_lora(options: Mapping[str, Any] | None) -> Lora | None:
    """Reads `network.lora`; None if it asks for no adapters.

    Raises:
        ConfigError: an unknown key, or a value out of range.

    Example:
        >>> read_lora({"rank": 8}).targets, read_lora({"rank": 0})
        (('attention',), None)
    """
    known = [field.name for field in fields(Lora)]
    if unknown := [str(key) for key in options or {} if key not in known]:
        raise ConfigError(f"unknown key 'network.lora.{unknown[0]}': {nearest(unknown[0], known)}")
    asked = Lora(**(options or {}))
    return asked if asked.rank else None


def add_lora(encoder: nn.Module, asked: Lora, backbone: str, size: tuple[int, int]) -> None:
    """Freezes an encoder and gives the layers that were asked for adapters, in place.

    The random state stays as it was, so that decoder and heads start from the same weights with and without adapters.

    Args:
        encoder: with the weights that it starts from.
        asked: see `Lora`.
        backbone: timm's name of the model, for messages.
        size: height and width of the images of a trial, which shows that each adapter is used.

    Raises:
        ConfigError: peft is not installed, no layer is called so, or a layer cannot have an adapter.
    """
    peft = load("peft", "lora", "network.lora.rank above 0")
    names = _targets(encoder, asked, backbone)
    encoder.requires_grad_(False)
    settings = peft.LoraConfig(
        r=asked.rank, lora_alpha=asked.alpha, lora_dropout=asked.dropout, target_modules=names, bias="none"
    )
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        torch.manual_seed(int(torch.randint(2**62, ())))
        warnings.filterwarnings("ignore", message=".*lora_alpha")
        peft.inject_adapter_in_model(settings, encoder)
    encoder.register_buffer(SCALE, torch.tensor(asked.alpha / asked.rank))
    _check_used(encoder, names, backbone, size)


def adapted(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """The layers of a module that have adapters, by name."""
    for name, layer in module.named_modules():
        if hasattr(layer, "base_layer") and hasattr(layer, "lora_A"):
            yield name, layer


@torch.no_grad()
def merge_lora(module: nn.Module) -> None:
    """Adds adapters to the weights that they adapt, and puts the plain layers back in their places."""
    for name, layer in list(adapted(module)):
        plain, (pair,) = layer.base_layer, layer.scaling
        down, up = layer.lora_A[pair].weight, layer.lora_B[pair].weight
        plain.weight += delta(down, up, layer.scaling[pair], plain.weight)
        parent, _, last = name.rpartition(".")
        setattr(module.get_submodule(parent), last, plain)


def without_lora(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state with its adapters merged, under the names of the plain layers; one without adapters as it is.

    Args:
        state: tensors by name, such as a checkpoint's.
    """
    scales = {name.removesuffix(SCALE): float(value) for name, value in state.items() if name.endswith(SCALE)}
    found: dict[str, Tensor] = {}
    for name, value in state.items():
        if name.endswith((DOWN, UP, SCALE)):
            continue
        layer = name.removesuffix(BASE)
        if layer != name:
            scale = next(scale for prefix, scale in scales.items() if name.startswith(prefix))
            value = value + delta(state[layer + DOWN], state[layer + UP], scale, value)
        found[name.replace(".base_layer.", ".")] = value
    return found


def delta(down: Tensor, up: Tensor, scale: float, like: Tensor) -> Tensor:
    r"""What an adapter adds to the weights of its layer: \(s B A\).

    Args:
        down: A, (r, in), or (r, in, h, w) of a convolution.
        up: B, (out, r), or (out, r, 1, 1).
        scale: s.
        like: the weights, (out, in) or (out, in, h, w).

    Example:
        >>> delta(torch.ones(2, 3), torch.ones(4, 2), 0.5, torch.zeros(4, 3))[0]
        tensor([1., 1., 1.])
    """
    return scale * (up.flatten(1) @ down.flatten(1)).view_as(like)


def _targets(encoder: nn.Module, asked: Lora, backbone: str) -> list[str]:
    """Names of the layers that are adapted, each of a kind that can be."""
    layers = {name: layer for name, layer in encoder.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)}
    found: list[str] = []
    for word in asked.targets:
        ends = WORDS.get(word, (word,))
        chosen = [name for name in layers if any(f".{name}".endswith(f".{end}") for end in ends)]
        if not chosen:
            known = list(dict.fromkeys(".".join(name.split(".")[-2:]) for name in layers))
            raise ConfigError(
                f"network.lora.targets: backbone '{backbone}' has no layer '{word}'; name some of its layers, such as "
                f"{', '.join(known[:SHOWN])}"
            )
        found += [name for name in chosen if name not in found]
    for name in found:
        if (reason := _refusal(layers[name])) is not None:
            raise ConfigError(
                f"network.lora.targets: layer '{name}' of backbone '{backbone}' is {reason}, which can have no "
                "adapter; name other layers"
            )
    return found


def _refusal(layer: nn.Module) -> str | None:
    """Why a layer cannot have an adapter; a subclass may compute something else with its weights."""
    if type(layer) is nn.Linear:
        return None
    if type(layer) is not nn.Conv2d:
        return f"a {type(layer).__name__}"
    for name, plain in (("groups", 1), ("dilation", (1, 1)), ("padding_mode", "zeros")):
        if getattr(layer, name) != plain:
            return f"a convolution with {name}={getattr(layer, name)}"
    return None


def _check_used(encoder: Any, names: Sequence[str], backbone: str, size: tuple[int, int]) -> None:
    """Checks that the encoder calls each adapted layer: some models read a layer's weights, past its adapter."""
    called: set[str] = set()
    handles = [
        encoder.get_submodule(f"{name}.lora_A.default").register_forward_hook(lambda *_, name=name: called.add(name))
        for name in names
    ]
    try:
        trial(encoder, torch.zeros(1, int(encoder.out_channels[0]), *size), f"network.lora (backbone '{backbone}')")
    finally:
        for handle in handles:
            handle.remove()
    if unused := [name for name in names if name not in called]:
        end = ".".join(unused[0].split(".")[-2:])
        raise ConfigError(
            f"network.lora.targets: backbone '{backbone}' uses the weights of '{unused[0]}' without calling the layer, "
            f"so that its adapter would do nothing; name layers other than '{end}'"
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

"""Several losses as one: named terms, each with a weight and each logged."""

from collections.abc import Iterator, Mapping
from typing import TypeGuard, TypeVar

from torch import Tensor, nn

from tandem.errors import ConfigError
from tandem.losses.contract import KINDS, CleanedLoss, Kind, Loss
from tandem.losses.schedule import read_weight

T = TypeVar("T")


class Composite(Loss):
    """A weighted sum of named losses of one kind: total = sum_k weights[k] * terms[k].

    The call returns the terms, *unweighted* and by name; the caller adds them up with `weights`, so that each term can
    be logged with and without its weight, and a weight can change over the epochs. It needs only yaml:

        defaults:
          - /loss/binary@terms.dice: dice
          - /loss/binary@terms.boundary: boundary
          - _self_
        _target_: tandem.losses.Composite
        weights:
          dice: 1.0
          boundary: {from: 0.0, to: 0.5, start: 0, end: 20} # linear in the epoch; start is 0 by default

    A composite may be a term of another: its terms are then called `outer/inner`, and their weights are multiplied.

    Attributes:
        kind: the kind that all terms share.
        needs_maps: whether any term needs maps.
        terms: the losses by name.
        weights: the weight of each named term in the epoch that was last set by `set_epoch`; 0 at first.
        moving: names of the terms whose weight changes over the epochs.

    Args:
        terms: losses by name. A name is part of what is logged, so it is an identifier.
        weights: for each term one number, at least 0, or a schedule over the epochs (see `read_weight` in
            `tandem.losses.schedule`); at least one that is not always 0.

    Raises:
        tandem.errors.ConfigError: if there are no terms, a term is not a loss, the kinds differ, the names of terms and
            weights differ, a weight is negative, a schedule cannot be read, or every weight is always 0.

    Example:
        >>> import torch
        >>> from tandem.losses.binary import BCE, Dice
        >>> loss = Composite({"dice": Dice(), "bce": BCE()}, {"dice": 1.0, "bce": 0.5})
        >>> terms = loss(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2))
        >>> {name: round(term.item(), 4) for name, term in terms.items()}
        {'dice': 0.3333, 'bce': 0.6931}
        >>> round(sum(loss.weights[name] * term.item() for name, term in terms.items()), 4)
        0.6799
        >>> rising = Composite({"dice": Dice(), "bce": BCE()}, {"dice": 1.0, "bce": {"from": 0.0, "to": 1.0, "end": 4}})
        >>> rising.set_epoch(3)
        >>> rising.weights
        {'dice': 1.0, 'bce': 0.75}
    """

    def __init__(self, terms: Mapping[str, nn.Module], weights: Mapping[str, float | Mapping[str, float]]) -> None:
        super().__init__()
        if not isinstance(terms, Mapping) or not isinstance(weights, Mapping) or not terms:
            raise ConfigError("a composite loss has no terms or no weights; name at least one loss under `terms`")
        if set(terms) != set(weights):
            found = f"the terms {sorted(map(str, terms))} but weights for {sorted(map(str, weights))}"
            raise ConfigError(f"a composite loss has {found}; use the same names in both")
        kinds = {name: _kind(name, term) for name, term in terms.items()}
        if len(set(kinds.values())) > 1:
            found = ", ".join(f"{name} is {kind}" for name, kind in kinds.items())
            raise ConfigError(f"a composite loss mixes kinds: {found}; take all terms from one folder of conf/loss")
        self._outer = {name: read_weight(f"weights.{name}", weights[name]) for name in terms}
        if not any(weight.first or weight.last for weight in self._outer.values()):
            raise ConfigError("every weight of a composite loss is 0, so nothing would be learnt; give one above 0")
        self.kind = next(iter(kinds.values()))
        self.needs_maps = any(getattr(term, "needs_maps", False) for term in terms.values())
        self.terms = nn.ModuleDict(terms)
        self.moving = tuple(self._moving())
        self.weights: dict[str, float] = {}
        self.set_epoch(0)

    @property
    def by_rows(self) -> bool:
        """Whether all of its terms are."""
        return all(getattr(term, "by_rows", False) for term in self.terms.values())

    def set_epoch(self, epoch: int) -> None:
        """Set `weights`, and those of composites among the terms, to their values at an epoch, counted from 0."""
        self.weights = {}
        for name, term in self.terms.items():
            if isinstance(term, Composite):
                term.set_epoch(epoch)
            weight = self._outer[name].at(epoch)
            inner = _named(name, getattr(term, "weights", 1.0))
            self.weights |= {label: weight * value for label, value in inner.items()}

    def forward(self, logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The unweighted terms by name, each a scalar; shapes and errors are those of the terms."""
        values: dict[str, Tensor] = {}
        alike = [term for term in self.terms.values() if _shares_cleaning(term)]
        cleaner = next((term for term in alike if term.hard), alike[0] if alike else None)  # the strictest of them
        cleaned = cleaner.clean(logits, target) if cleaner is not None else None  # once, as they share a kind
        for name, term in self.terms.items():
            if cleaner is not None and cleaned is not None and _shares_cleaning(term):
                term.fractional = cleaner.fractional
                values[name] = term.compute(*cleaned)
            else:
                values |= _named(name, term(logits, target))
        return values

    def _moving(self) -> Iterator[str]:
        for name, term in self.terms.items():
            labels = _named(name, getattr(term, "weights", 1.0))
            inner = {f"{name}/{label}" for label in getattr(term, "moving", ())}
            yield from labels if self._outer[name].moves else (label for label in labels if label in inner)


def _shares_cleaning(term: nn.Module) -> TypeGuard[CleanedLoss]:
    return isinstance(term, CleanedLoss) and type(term).forward is CleanedLoss.forward


def _kind(name: object, term: object) -> Kind:
    if not isinstance(name, str) or not name.isidentifier() or hasattr(nn.ModuleDict(), name):
        fix = "use letters, digits and _, but no name of torch's ModuleDict"
        raise ConfigError(f"a term of a composite loss cannot be called {name!r}; {fix}")
    kind = getattr(term, "kind", None)
    if not isinstance(term, nn.Module) or not isinstance(kind, str):
        fix = f"take a loss that names its kind ({', '.join(KINDS)})"
        raise ConfigError(f"the term {name!r} of a composite loss is a {type(term).__name__}; {fix}")
    return kind


def _named(name: str, value: T | dict[str, T]) -> dict[str, T]:
    if isinstance(value, dict):
        return {f"{name}/{inner}": part for inner, part in value.items()}
    return {name: value}

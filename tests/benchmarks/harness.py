"""What the benchmarks share: alternating timings, medians, ratios, a table that says which bar holds."""

import math
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Console
from rich.table import Table

Timed = TypeVar("Timed")


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        what: was measured.
        ours: and in which unit, as text.
        peer: the fastest or named counterpart, with its figure, as text.
        ratio: the number that the bar speaks of.
        bar: the limit in words, such as `<= 1.1`; empty where there is none.
        holds: whether the ratio keeps the bar.
    """

    what: str
    ours: str
    peer: str
    ratio: float
    bar: str = ""
    holds: bool = True


def seconds(functions: Mapping[str, Callable[[], object]], repeats: int = 7) -> dict[str, float]:
    """The median time of each function in seconds. Rounds alternate, so that a noisy minute falls on all of them.

    The order is drawn anew for each round, since a call finds in the caches what the one before it has left there.

    Args:
        functions: by name; each is called once before anything is measured.
        repeats: rounds.
    """
    for function in functions.values():
        function()
    taken: dict[str, list[float]] = {name: [] for name in functions}
    order = random.Random(0)  # noqa: S311  # no secret
    for _ in range(repeats):
        for name, function in order.sample(list(functions.items()), len(functions)):
            start = time.perf_counter()
            function()
            taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in taken.items()}


def at_most(what: str, ours: float, peers: Mapping[str, float], limit: float, unit: str = "ms") -> Row:
    """Ours against the least of some peers; the ratio ours / peer may be `limit` at most.

    Args:
        what: was measured.
        ours: in `unit`.
        peers: by name, in `unit`; where there are none, the row has no bar.
        limit: of the ratio.
        unit: for the table.
    """
    if not peers:
        return Row(what, f"{ours:.3g} {unit}", "no counterpart", float("nan"))
    name = min(peers, key=peers.__getitem__)
    ratio = ours / peers[name]
    return Row(what, f"{ours:.3g} {unit}", f"{name} {peers[name]:.3g} {unit}", ratio, f"<= {limit}", ratio <= limit)


def at_least(what: str, ours: float, peer: str, theirs: float, limit: float, unit: str = "ms") -> Row:
    """How many times faster ours is than one peer; the ratio peer / ours must be `limit` at least."""
    ratio = theirs / ours
    return Row(what, f"{ours:.3g} {unit}", f"{peer} {theirs:.3g} {unit}", ratio, f">= {limit}", ratio >= limit)


def in_turns(turns: Mapping[str, Callable[[], list[Timed]]], repeats: int) -> dict[str, list[Timed]]:
    """What each contender measured of itself, in rounds of one turn each, in an order drawn anew for each round."""
    found: dict[str, list[Timed]] = {name: [] for name in turns}
    order = random.Random(0)  # noqa: S311  # no secret
    for _ in range(repeats):
        for name, turn in order.sample(list(turns.items()), len(turns)):
            found[name] += turn()
    return found


def paired(what: str, peer: str, ours: Sequence[float], theirs: Sequence[float], least: float | None = None) -> Row:
    """How many times faster ours is than a peer: the median over pairs of their ratios, with its interval.

    The interval lies between order statistics of the ratios and covers the median in at least 95 % of cases, for any
    distribution (from six pairs on).

    Args:
        what: was measured.
        peer: its name.
        ours: seconds.
        theirs: seconds, measured in the same rounds.
        least: the ratio that is asked for; None: no bar.
    """
    ratios = sorted(b / a for a, b in zip(ours, theirs, strict=True))
    ratio, rank = statistics.median(ratios), order_rank(len(ratios))
    interval = f" [{ratios[rank]:.3f}, {ratios[-1 - rank]:.3f}]"
    texts = f"{statistics.median(ours):.3g} s", f"{peer} {statistics.median(theirs):.3g} s{interval}"
    if least is None:
        return Row(what, *texts, ratio)
    return Row(what, *texts, ratio, f">= {least}", ratio >= least)


def order_rank(n: int) -> int:
    """How many of n sorted values lie outside of each end of a 95 % interval of their median (binomial)."""
    tail, rank = 0.5**n, 0
    while tail + math.comb(n, rank + 1) * 0.5**n <= 0.025:
        rank += 1
        tail += math.comb(n, rank) * 0.5**n
    return rank


def show(title: str, rows: Sequence[Row]) -> bool:
    """Prints a table; gives whether every bar holds."""
    table = Table("what", "tandem", "peer", "ratio", "bar", "", title=title, title_justify="left")
    for row in rows:
        verdict = ("[green]holds[/]" if row.holds else "[red]missed[/]") if row.bar else ""
        table.add_row(row.what, row.ours, row.peer, f"{row.ratio:.2f}", row.bar, verdict)
    Console(width=140).print(table)
    return all(row.holds for row in rows)

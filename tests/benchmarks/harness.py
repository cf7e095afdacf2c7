"""What the benchmarks share: alternating timings, medians, ratios, a table that says which bar holds."""

import math
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
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
        low: lower end of the ratio's 95 % interval; nan where it was not measured in pairs.
        high: its upper end.
        pairs: that the ratio is the median of; 0: the ratio is that of two medians.
        points: (x, y) of a curve whose exponent the ratio is.
    """

    what: str
    ours: str
    peer: str
    ratio: float
    bar: str = ""
    holds: bool = True
    low: float = math.nan
    high: float = math.nan
    pairs: int = 0
    points: Sequence[tuple[float, float]] = ()

    @property
    def measured(self) -> bool:
        """Whether there is a number; a peer that is not installed has none."""
        return not math.isnan(self.ratio)

    @property
    def interval(self) -> str:
        """The interval as text; empty where there is none."""
        return "" if math.isnan(self.low) else f"[{self.low:.2f}, {self.high:.2f}]"

    @property
    def verdict(self) -> str:
        """`holds`, `missed`, or nothing where there is no bar or no number."""
        return ("holds" if self.holds else "missed") if self.bar and self.measured else ""


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
    limit = "" if least is None else f">= {least}"
    return Row(
        what,
        f"{statistics.median(ours):.3g} s",
        f"{peer} {statistics.median(theirs):.3g} s",
        ratio,
        limit,
        least is None or ratio >= least,
        ratios[rank],
        ratios[-1 - rank],
        len(ratios),
    )


def not_measured(what: str, peer: str, why: str) -> Row:
    """A comparison whose peer is missing on this machine.

    Args:
        what: would be measured.
        peer: its name.
        why: such as `needs the package ignite`.
    """
    return Row(what, "not measured", f"{peer}: {why}", math.nan)


def growth(what: str, points: Sequence[tuple[float, float]], unit: str, limit: float | None = None) -> Row:
    """How a cost grows: the exponent b of y = a x^b, by least squares on logarithms.

    Args:
        what: grows, and with what.
        points: x and y, at least two, above 0.
        unit: of y.
        limit: of the exponent; None: no bar.
    """
    exponent = slope([(math.log(x), math.log(y)) for x, y in points])
    (first, least), (last, most) = points[0], points[-1]
    texts = f"{most:.3g} {unit} at {last:,g}", f"{least:.3g} {unit} at {first:,g}"
    bar, holds = ("", True) if limit is None else (f"<= {limit}", exponent <= limit)
    return Row(what, *texts, exponent, bar, holds, points=tuple(points))


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The slope of the line through points, by least squares."""
    return statistics.linear_regression(*zip(*points, strict=True)).slope


def order_rank(n: int) -> int:
    """How many of n sorted values lie outside of each end of a 95 % interval of their median (binomial)."""
    tail, rank = 0.5**n, 0
    while tail + math.comb(n, rank + 1) * 0.5**n <= 0.025:
        rank += 1
        tail += math.comb(n, rank) * 0.5**n
    return rank


def show(title: str, rows: Sequence[Row]) -> bool:
    """Prints a table; gives whether every bar holds."""
    table = Table("what", "tandem", "peer", "ratio", "95 %", "bar", "", title=title, title_justify="left")
    colours = {"holds": "[green]holds[/]", "missed": "[red]missed[/]", "": ""}
    for row in rows:
        ratio = f"{row.ratio:.2f}" if row.measured else "-"
        table.add_row(row.what, row.ours, row.peer, ratio, escape(row.interval), row.bar, colours[row.verdict])
    Console(width=150).print(table)
    return all(row.holds for row in rows)

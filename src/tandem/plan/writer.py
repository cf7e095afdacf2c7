"""Writes the page of a plan: the data, the choices, and what can be learnt from so few."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

from tandem.plan.budget import words_of
from tandem.plan.fingerprint import Fingerprint
from tandem.plan.outlook import Outlook, widest
from tandem.plan.precision import DICE_SPREAD, RECALL, RUN_SPREAD
from tandem.plan.rules import Decision
from tandem.reports.page import answer, details, document, scroll

STYLE = """
td { vertical-align: top; } table.choices td { min-width: 8rem; } table.choices td:nth-child(3) { min-width: 18rem; }
"""


def plan_page(
    found: Fingerprint, decisions: Sequence[Decision], outlook: Outlook, text: str, commands: Sequence[str]
) -> str:
    """The page.

    Args:
        found: the fingerprint.
        decisions: of the rules.
        outlook: what to expect of a test.
        text: of the experiment's yaml.
        commands: what to type next.
    """
    return document(f"tandem: a plan for {found.name}", list(_parts(found, decisions, outlook, text, commands)), STYLE)


def sentence(found: Fingerprint, decisions: Sequence[Decision], outlook: Outlook) -> str:
    """The plan in a sentence or two.

    Args:
        found: the fingerprint.
        decisions: of the rules.
        outlook: what to expect of a test.
    """
    chosen = {key: value for one in decisions for key, value in {**one.choice.values, **one.choice.groups}.items()}
    tasks = " and ".join(map(str, chosen.get("task", [])))
    runs = f"{outlook.folds} folds" if outlook.folds > 1 else "one split"
    size, epochs = chosen.get("data.size", found.size), chosen.get("trainer.max_epochs")
    said = f"Learn {tasks} from {found.images:,} images of {size} pixels in {runs} of {epochs} epochs"
    said += f", within {words_of(found.budget)}."
    if outlook.dice is not None and not math.isnan(outlook.dice[2]):
        said += f" Expect an interval of {_points(outlook.dice[2])} points around the mean Dice"
        said += "" if widest(outlook) else "."
    if (wide := widest(outlook)) is not None:
        said += " and" if outlook.dice is not None and not math.isnan(outlook.dice[2]) else " Expect an interval"
        said += f" of {_points(wide[1])} points around the recall of {wide[0]}."
    return said


def _points(width: float) -> str:
    return f"{100 * width:.0f}"


def _parts(
    found: Fingerprint, decisions: Sequence[Decision], outlook: Outlook, text: str, commands: Sequence[str]
) -> Iterator[str]:
    yield f"<h1>A plan for {escape(found.name)}</h1>{answer(sentence(found, decisions, outlook))}"
    yield "<h2>Next</h2>" + f"<pre>{escape(chr(10).join(commands))}</pre>"
    yield "<h2>The data</h2>" + table(("fact", "value"), facts(found))
    yield "<h2>The choices</h2>"
    fired = [one for one in decisions if one.choice.fired]
    yield table(
        ("question", "choice", "why", "source"),
        [(one.rule.question, _chosen(one), one.choice.reason, one.rule.source) for one in fired],
        css_class="choices",
    )
    yield "<h3>Rules that changed nothing</h3>"
    silent = [(one.rule.question, one.choice.reason, one.rule.range) for one in decisions if not one.choice.fired]
    yield table(("question", "why not", "may choose"), silent)
    yield from _outlook(outlook)
    yield details("the experiment", text)


def facts(found: Fingerprint) -> list[tuple[str, str]]:
    """The fingerprint in words."""
    rows = [("images", f"{found.images:,} ({', '.join(f'{n} {split}' for split, n in found.splits.items())})")]
    rows.append(("independent images", f"{found.units:,} (images of one group, and near-duplicates, count once)"))
    if found.classes:
        counts = ", ".join(f"{name} {count:,} ({found.units_of[name]:,})" for name, count in found.classes.items())
        rows.append(("classes (independent images)", counts))
        rows.append(("images without a class", f"{found.images - found.labelled:,}"))
    for name, (yes, no) in found.findings.items():
        rows.append((f"finding {name}", f"{yes:,} with it, {no:,} without"))
    if found.mask_channels or found.mask_classes:
        rows.append(("masks", f"{found.filled:,} with a lesion, {found.empty:,} empty, {found.missing:,} missing"))
    if not math.isnan(found.areas[1]):
        rows.append(("area of lesions", "5 %, 50 %, 95 %: " + ", ".join(f"{area:.2%}" for area in found.areas)))
    if not math.isnan(found.widths[0]):
        rows.append(
            ("width of lesions", f"5 %: {found.widths[0]:.1%} of the longer side; median {found.widths[1]:.1%}")
        )
    if found.side:
        rows.append(("image files", f"shorter side {found.side} pixels, ratio of the sides {found.aspect:.2f}"))
    if not math.isnan(found.coloured):
        rows.append(("in colour", f"{found.coloured:.0%}"))
    if found.near_duplicates >= 0:
        rows.append(("pairs of near-duplicates", f"{found.near_duplicates:,}"))
    rows.append(("published split", "yes" if found.published else "no"))
    machine = found.machine
    cores = "1 core" if machine.cores == 1 else f"{machine.cores} cores"
    has = f"{cores}, {machine.memory / 1e9:.1f} GB of memory free, {machine.gpu or 'no GPU'}"
    rows.append(("machine", f"{has}, pretrained weights: {machine.weights or 'none'}"))
    how = "measured" if found.measured else "estimated"
    rows.append(("speed", f"{found.speed:.2f} s for each training image of a million pixels, {how}"))
    return rows


def _outlook(outlook: Outlook) -> Iterator[str]:
    yield "<h2>What can be learnt from so few?</h2>"
    tested = "each image is tested once, by the run that has not seen it" if outlook.folds > 1 else "the test split"
    yield f"<p class='note'>Before any training, from the numbers of images alone; {tested}. Intervals are 95 %.</p>"
    head = ("of", "test images", "independent", "width of the interval", "with 4 times as many")
    rows = [(f"recall of {name}", n, u, _width(w), _width(four)) for name, (n, u, w, four) in outlook.recalls.items()]
    if outlook.dice is not None:
        n, units, width, four = outlook.dice
        rows.append(("mean Dice of lesion images", n, units, _width(width), _width(four)))
    yield table(head, rows, 1)
    yield (
        f"<p class='note'>Assumed: a recall of {RECALL:g}, and a deviation of {DICE_SPREAD:g} of Dice between images, "
        "about that of results/curated_busi. Where images of one group differ, the widths are upper bounds.</p>"
    )
    yield "<h3>Which difference between two losses could be seen?</h3>"
    differences = [(seeds, runs, "none: fewer than three pairs" if math.isnan(seen) else f"{seen:.3f}")
                   for seeds, runs, seen in outlook.differences]  # fmt: skip
    yield table(("seeds", "pairs of runs", "smallest difference in Dice"), differences, 0)
    yield (
        f"<p class='note'>Seen in 80 % of cases, at p &lt; 0.05, if paired differences deviate by {RUN_SPREAD:g}; "
        "folds share training images, which is corrected for (Nadeau and Bengio 2003). Less is noise.</p>"
    )
    yield f"<p>What would narrow this: {escape(outlook.remedy)}.</p>"


def _width(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.0f} points"


def _chosen(decision: Decision) -> str:
    parts = {**decision.choice.groups, **decision.choice.values}
    return ", ".join(f"{_short(key)} = {_plain(value)}" for key, value in parts.items())


def _short(key: str) -> str:
    return "loss" if "@" in key else key.rpartition(".")[2]


def _plain(value: Any) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)


def table(
    head: Sequence[str], rows: Iterable[Sequence[object]], numbers_from: int | None = None, css_class: str = "plain"
) -> str:
    """A table; columns from `numbers_from` on are aligned right."""

    def css(place: int) -> str:
        return " class='n'" if numbers_from is not None and place >= numbers_from else ""

    top = "".join(f"<th{css(place)}>{escape(cell)}</th>" for place, cell in enumerate(head))
    body = "".join(
        "<tr>" + "".join(f"<td{css(place)}>{escape(str(cell))}</td>" for place, cell in enumerate(row)) + "</tr>"
        for row in rows
    )
    return scroll(f"<table class='{css_class}'><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>")


def printed(found: Fingerprint, decisions: Sequence[Decision], outlook: Outlook) -> list[str]:
    """The plan as lines of a terminal."""
    lines = [sentence(found, decisions, outlook)]
    lines += [f"  {one.rule.question}: {_chosen(one)} ({one.choice.reason})" for one in decisions if one.choice.fired]
    silent: Mapping[str, str] = {one.rule.question: one.choice.reason for one in decisions if not one.choice.fired}
    lines += ["left at the default:", *(f"  {name}: {reason}" for name, reason in silent.items())]
    return lines

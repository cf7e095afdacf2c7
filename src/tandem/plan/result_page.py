"""The page of a trained plan: the answer, tables by class and size, worst cases, calibration, a model card."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from tandem.plan.cases import Drawn
from tandem.plan.intervals import shown
from tandem.plan.outcome import Outcome
from tandem.plan.writer import table
from tandem.reports.page import answer, document, image
from tandem.reports.palette import ERRORS

STYLE = "img.case { width: 29rem; image-rendering: pixelated; } .scroll { margin-bottom: 1.2rem; }"


def summary(outcome: Outcome) -> str:
    """The answer in a sentence.

    Args:
        outcome: of the test.
    """
    parts = []
    if outcome.dice is not None:
        parts.append(f"the mask has a mean Dice of {shown(outcome.dice)} over {outcome.lesions} images with a lesion")
    if outcome.balanced is not None:
        weakest = min(outcome.recalls.items(), key=lambda item: item[1][1][0])
        parts.append(
            f"the class has a balanced accuracy of {shown(outcome.balanced)}, and is weakest for {weakest[0]} "
            f"(recall {shown(weakest[1][1])})"
        )
    if outcome.masks:
        name, (count, dice) = min(outcome.masks.items(), key=lambda item: item[1][1][0])
        parts.append(
            f"of {len(outcome.masks)} masks, {name} is the hardest: mean Dice {shown(dice)} over {count} images"
        )
    if known := {name: (n, yes) for name, (n, yes, _) in outcome.findings.items() if yes is not None}:
        name, (count, yes) = min(known.items(), key=lambda item: item[1][1][0])
        parts.append(f"of {len(known)} findings, {name} is missed most: sensitivity {shown(yes)} over {count} images")
    text = "; ".join(parts) or "no task has a result"
    how = f"each by the one of {outcome.folds} folds that had not seen it" if outcome.folds > 1 else "the test split"
    return f"{text[:1].upper()}{text[1:]}. Tested once on {outcome.images} images, {how}."


def result_page(
    name: str, outcome: Outcome, state: Mapping[str, Any], predict: str, cut: int, drawn: Sequence[Drawn] = ()
) -> str:
    """The page.

    Args:
        name: of the plan.
        outcome: of the test.
        state: the plan's fingerprint and choices.
        predict: the command to type.
        cut: number of runs that the budget ended before their last epoch.
        drawn: the worst cases.
    """
    return document(f"tandem: {name}", list(_parts(name, outcome, state, predict, cut, drawn)), STYLE)


def _parts(
    name: str, outcome: Outcome, state: Mapping[str, Any], predict: str, cut: int, drawn: Sequence[Drawn]
) -> Iterator[str]:
    yield f"<h1>{escape(name)}</h1>{answer(summary(outcome))}"
    if cut:
        said = f"runs that the budget ended before their last epoch: {cut} of {outcome.folds}"
        yield f"<ul class='warnings'><li>{said}</li></ul>"
    yield f"<h2>Use it</h2><pre>{escape(predict)}</pre>"
    yield (
        "<p class='note'>[low, high]: 95 % interval over independent images. The ensemble averages all runs; it cannot "
        "be tested on these images, of which each member has seen most: its members were.</p>"
        if outcome.folds > 1
        else "<p class='note'>[low, high]: 95 % interval over independent images.</p>"
    )
    if outcome.recalls:
        yield "<h2>Classes</h2>"
        yield table(("class", "images", "recall"), [(k, n, shown(v)) for k, (n, v) in outcome.recalls.items()], 1)
    if outcome.dice is not None:
        yield "<h2>Masks</h2>"
        rows: list[Sequence[object]] = [("all with a lesion", outcome.lesions, shown(outcome.dice))]
        rows += [(kind, count, shown(value)) for kind, (count, value) in outcome.dice_of.items()]
        rows += [
            (f"{size} lesions (up to {most:.2%} of the image)", count, shown(value))
            for size, (count, most, value) in outcome.dice_by_size.items()
        ]
        yield table(("images", "number", "mean Dice"), rows, 1)
        if outcome.empty is not None:
            count, value = outcome.empty
            yield f"<p>Of {count} images without a lesion, the predicted mask is empty for {shown(value)}.</p>"
    if outcome.masks:
        yield "<h2>Masks</h2>"
        rows = [(name, count, shown(value)) for name, (count, value) in outcome.masks.items()]
        yield table(("mask", "images that have it", "mean Dice"), rows, 1)
    if outcome.findings:
        yield "<h2>Findings</h2>"
        rows = [(k, n, *("-" if v is None else shown(v) for v in both)) for k, (n, *both) in outcome.findings.items()]
        yield table(("finding", "images with it", "sensitivity", "specificity"), rows, 1)
    if outcome.worst or outcome.wrong:
        yield from _cases(outcome, drawn)
    yield from _calibration(outcome)
    yield from _card(outcome, state)


def _cases(outcome: Outcome, drawn: Sequence[Drawn]) -> Iterator[str]:
    yield "<h2>Worst cases</h2>"
    if drawn:
        yield f"<p class='note'>Image, true mask, predicted mask, errors: {escape(ERRORS)}.</p>"
        yield "".join(image(png, caption, "case") for png, caption in drawn)
    if outcome.worst:
        rows = [(case, f"{dice:.3f}", f"{a:.2%}", f"{b:.2%}") for case, dice, a, b in outcome.worst]
        yield table(("lowest Dice", "Dice", "true area", "predicted area"), rows, 1)
    if outcome.wrong:
        rows = [(case, true, guess, f"{sure:.2f}") for case, true, guess, sure in outcome.wrong]
        yield table(("wrong, and most sure of it", "true", "predicted", "probability"), rows, 3)


def _calibration(outcome: Outcome) -> Iterator[str]:
    if not outcome.bins:
        return
    pairs = list(zip(*(outcome.bins[key] for key in ("probability", "share", "count")), strict=True))
    total = sum(count for *_, count in pairs)
    error = sum(count * abs(share - probability) for probability, share, count in pairs) / total
    yield "<h2>Calibration of the class</h2>"
    yield f"<p>The probability of the predicted class is off by {error:.3f} on average (ECE, 15 bins).</p>"
    rows = [(f"{probability:.2f}", f"{share:.2f}", f"{count:.0f}") for probability, share, count in pairs]
    yield table(("mean probability", "share of right answers", "images"), rows, 0)


def _card(outcome: Outcome, state: Mapping[str, Any]) -> Iterator[str]:
    found = state["fingerprint"]
    classes = ", ".join(f"{name} {count}" for name, count in found["classes"].items()) or "none"
    counts = ", ".join(f"{name} {yes}" for name, (yes, _) in found.get("findings", {}).items())
    unlike = [
        "images of other devices, people or diseases than these",
        "volumes and video",
        "any decision about a person",
    ]
    if min((count for count, _ in outcome.recalls.values()), default=100) < 30:
        unlike.append("the rarest class, of which fewer than 30 images were tested")
    yield "<h2>Model card</h2>"
    rows = [
        ("data", f"{found['name']}: {found['images']} images, {found['units']} of them independent"),
        ("classes", classes),
        *([("images with each finding", counts)] if counts else []),
        ("masks", f"{found['filled']} with a lesion, {found['empty']} empty, {found['missing']} missing"),
        ("licence of the data", "not known to tandem: write it here before you hand the model on"),
        ("intended use", "research on images like these"),
        ("not for", "; ".join(unlike)),
        ("tested on", f"{outcome.images} images of the same data set; no other data set"),
    ]
    yield table(("about", "what"), rows)

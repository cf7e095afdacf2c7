"""Writes the files: a figure, a self-contained page, and two tables."""

from html import escape
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from tandem.explain_loss.curves import RIGHT
from tandem.explain_loss.explanation import Explanation
from tandem.explain_loss.figures import curves_figure, moments_figure, whole_figure
from tandem.explain_loss.shares import of_region
from tandem.explain_loss.tables import Rows, all_rows, curve_records, is_heading, share_records
from tandem.reports.metrics_table import write_metrics
from tandem.reports.page import answer, details, document, figure, scroll
from tandem.utils.files import write_text, write_whole
from tandem.utils.written import WrittenFiles

PAGE, FIGURE = "explain_loss.html", "explain_loss.png"
CURVES, SHARES = "curves.csv", "shares.csv"

STYLE = """
img.wide { width: 100%; }
@media (max-width: 40rem) { figure:has(> img.wide) { overflow-x: auto; } img.wide { width: 46rem; max-width: none; } }
figure { margin-right: 0; } p { max-width: 52rem; }
table { font-size: .85rem; margin: .6rem 0; } td, th { padding-right: 1.1rem; } td { white-space: nowrap; }
tr.moment td { font-weight: 600; border-top: 1px solid var(--faint); }
"""


def write_explanation(explanation: Explanation, folder: Path) -> list[Path]:
    """Writes page, figure and tables into a folder, each file atomically.

    Args:
        explanation: the content.
        folder: created if it does not exist; existing files with these names are replaced.

    Returns:
        The paths, the page first.
    """
    drawn = whole_figure(explanation)
    write_whole(folder / FIGURE, lambda file: drawn.savefig(file, format="png", dpi=130, metadata={"Software": None}))
    write_metrics(folder / CURVES, curve_records(explanation))
    names = [PAGE, FIGURE, CURVES]
    if explanation.moments:
        write_metrics(folder / SHARES, list(share_records(explanation)))
        names.append(SHARES)
    else:
        earlier = WrittenFiles(folder, "explain_loss", overwrite=False)
        earlier.remove(folder / SHARES)  # left by an earlier call for this folder
    write_text(folder / PAGE, document(f"tandem: {explanation.title}", _parts(explanation), STYLE))
    return [folder / name for name in names]


def _parts(explanation: Explanation) -> list[str]:
    tables = all_rows(explanation)
    parts = [
        f"<h1>{escape(explanation.title)}</h1>",
        answer(_in_words(explanation)),
        f"<p class='note'>The gradient of a {explanation.kind} loss, and which pixels it comes from.</p>",
        "<h2>Loss and gradient</h2>",
        _paragraph(_about_curves(explanation)),
        figure(curves_figure(explanation), "", "wide", dpi=150),
        _table(tables[0]),
    ]
    if explanation.moments:
        parts += [
            "<h2>Shares of the gradient on the masks of a data set</h2>",
            _paragraph(_about_masks(explanation)),
            figure(moments_figure(explanation.moments), explanation.masks, "wide", dpi=150),
            _paragraph("<br>".join(f"<b>{escape(m.name)}</b>; {escape(m.prediction)}." for m in explanation.moments)),
            *(_paragraph(f"Computed from the training masks: {escape(line)}.") for line in explanation.computed),
            _table(tables[1]),
            "<h2>Worked example: 44 background pixels, 5 lesion pixels</h2>",
            _paragraph(_ABOUT_EXAMPLE),
            figure(moments_figure(explanation.example, show_mask=True), "", "wide", dpi=150),
            _table(tables[2]),
        ]
    return [*parts, details("Configuration", _configuration(explanation))]


_ABOUT_EXAMPLE = (
    "At the first step all pixels are equally wrong, so all have the same gradient and the majority dominates: with "
    "cross-entropy, the background has 44/49 of the gradient. Focusing cannot help yet, since no pixel is easy (and "
    "alpha = 0.25 reduces the lesion's share; a bias initialised at the prior fixes this). The balanced loss helps: "
    "5 &beta; = 44 (1 - &beta;) with &beta; = 44/49, the background's share. Once the background is learnt, each of "
    "its pixels has a small gradient, but with cross-entropy the 44 together still outweigh the lesion. With the focal "
    "loss and with the balanced loss they no longer do."
)


def _about_curves(explanation: Explanation) -> str:
    if explanation.kind == "regression":
        return "The loss of one number, and the gradient |dL/dz| with respect to its prediction z."
    text = (
        "The loss of a pixel, and the gradient |dL/dz| with respect to its logit z, against the predicted probability "
        "of lesion p = sigmoid(z). A lesion pixel is right at p = 1, a background pixel at p = 0."
    )
    if explanation.kind == "multiclass":
        text += " Two classes, background and lesion: the logits (0, z)."
    dashed = [label for label, curves in explanation.curves.items() if not curves[0].alone]
    if dashed:
        whose = "" if len(dashed) == len(explanation.curves) else f" of {escape(', '.join(dashed))}"
        text += (
            f" The dashed curves{whose} are for the 7 x 7 image of the example below, because a pixel's loss depends "
            f"on the other pixels: all its lesion pixels (or all its background pixels) have p, all others are "
            f"{RIGHT:.0%} right. The loss is that of the image; the gradient is that of one pixel times 49, to make it "
            "comparable with losses that are a mean over pixels."
        )
    return text


def _about_masks(explanation: Explanation) -> str:
    config = explanation.config
    near = f"within {config['border']} pixel{'s' if config['border'] != 1 else ''} of the contour, on either side"
    border = f"Border: {near}; lesion and background are the rest. " if config["border"] else ""
    return (
        "The absolute gradient of all pixels, for the data's own masks and a synthetic prediction, divided by region. "
        f"{border}Hard: |p - y| is at least {config['hard']:g}; easy: less. The first bar of each column counts the "
        "pixels themselves; the loss focuses on regions with a larger share of the gradient than of the pixels."
    )


def _in_words(explanation: Explanation) -> str:
    """States in one sentence how the loss divides its gradient between background and the rest."""
    if not explanation.moments:
        return f"The curves show how fast this {explanation.kind} loss and its gradient grow with the error."
    moment = explanation.moments[-1]
    shares = [
        f"{share:.0%} of the gradient with {label}"
        for label, found in moment.gradients.items()
        if (share := of_region(found, "background")) == share
    ]
    pixels = of_region(moment.pixels, "background")
    listed = f"{', '.join(shares[:-1])} and {shares[-1]}" if len(shares) > 1 else "".join(shares) or "no gradient"
    masks = explanation.masks.partition(":")[0]
    return (
        f"In the masks of {masks}, background is {pixels:.0%} of the pixels. "
        f"With a synthetic prediction, as of a half-trained network, it has {listed}."
    )


def _paragraph(html: str) -> str:
    return f"<p>{html}</p>"


def _table(rows: Rows) -> str:
    heads = "".join(f"<th{_number(index, rows)}>{escape(name)}</th>" for index, name in enumerate(rows.head))
    body = []
    for row in rows.body:
        cells = "".join(f"<td{_number(index, rows)}>{escape(cell.strip())}</td>" for index, cell in enumerate(row))
        body.append(f"<tr{' class=moment' if is_heading(row) else ''}>{cells}</tr>")
    table = scroll(f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(body)}</tbody></table>")
    return f"<p class='note'>{escape(rows.title)}</p>{table}"


def _number(index: int, rows: Rows) -> str:
    return "" if index < rows.texts else " class='n'"


def _configuration(explanation: Explanation) -> str:
    shown: dict[str, Any] = {key: value for key, value in explanation.config.items() if key != "loss"}
    nodes: dict[str, Any] = {"losses": dict(explanation.nodes)}
    return OmegaConf.to_yaml(OmegaConf.create({**shown, **nodes}))

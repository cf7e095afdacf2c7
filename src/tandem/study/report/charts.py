"""Charts as plain data, in plotly's terms, and as HTML that draws them."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from tandem.reports.palette import colour

Trace = dict[str, Any]

SCALE = [[0, "#f4f8fc"], [0.5, "#9ecae1"], [1, "#2171b5"]]
"""From worse to better."""

NEUTRAL = [[0, "#fcf6ec"], [0.5, "#d9b98a"], [1, "#8c6d46"]]
"""From low to high, where neither is known to be better."""

RISING = [[0, "#c46200"], [0.5, "#808080"], [1, "#2f86c9"]]
"""Of lines from worse to better, on light and dark pages."""

THEME = """
function tandemTheme(name) {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const place = document.getElementById(name), on = dark.matches;
    const page = getComputedStyle(document.documentElement), colour = name => page.getPropertyValue(name).trim();
    const text = colour("--text"), paper = colour("--page"), grid = on ? colour("--faint") : "#eee";
    const changes = { paper_bgcolor: paper, plot_bgcolor: paper, "font.color": text,
      "hoverlabel.bgcolor": paper, "hoverlabel.font.color": text };
    for (const key of Object.keys(place.layout)) {
      if (/^[xy]axis/.test(key)) changes[key + ".gridcolor"] = grid;
      if (key === "updatemenus") place.layout[key].forEach((_, index) => {
        changes[`updatemenus[${index}].bgcolor`] = paper;
        changes[`updatemenus[${index}].font.color`] = text;
      });
    }
    Plotly.relayout(place, changes);
  };
  dark.addEventListener("change", apply);
  if (dark.matches) apply();
}
"""
"""Gives a chart the colours of its page, which is dark where the reader's system is; stands once, before the charts."""

CONFIG = {"responsive": True, "displaylogo": False, "modeBarButtonsToRemove": ["lasso2d", "select2d"]}


@dataclass(frozen=True)
class Chart:
    """What plotly draws.

    Attributes:
        data: traces.
        layout: axes, titles and buttons.
    """

    data: Sequence[Trace]
    layout: Mapping[str, Any]


def layout(height: int, **more: Any) -> dict[str, Any]:
    """White, with thin lines and small margins.

    Args:
        height: in pixels.
        more: further parts of plotly's layout.
    """
    return {
        "height": height,
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#222"},
        "margin": {"l": 60, "r": 20, "t": 40, "b": 55},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "hovermode": "closest",
        "hoverlabel": {"align": "left", "bgcolor": "white", "bordercolor": "#999", "font": {"color": "#222"}},
        "legend": {"font": {"size": 12}},
        **more,
    }


def axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis with a title and light grid lines.

    Args:
        title: any text.
        more: further parts of plotly's axis.
    """
    line = {"gridcolor": "#eee", "zeroline": False, "linecolor": "#999", "showline": True, "automargin": True}
    return {"title": {"text": safe(title), "standoff": 8}, **line, **more}


def switched(groups: Mapping[str, Sequence[Trace]], base: Mapping[str, Any]) -> Chart:
    """One chart of several groups of traces, of which a menu shows one.

    Args:
        groups: traces by what the menu calls them; the first one is shown.
        base: the layout.
    """
    data, owner = [], []
    for number, traces in enumerate(groups.values()):
        data += [{**trace, "visible": number == 0} for trace in traces]
        owner += [number] * len(traces)
    if len(groups) < 2:
        return Chart(data, base)
    buttons = [
        {"label": safe(label), "method": "restyle", "args": ["visible", [mine == number for mine in owner]]}
        for number, label in enumerate(groups)
    ]
    menu = {
        "buttons": buttons, "type": "dropdown", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom",
        "pad": {"b": 26}, "bgcolor": "white", "bordercolor": "#bbb", "showactive": True,
    }  # fmt: skip
    return Chart(data, {**base, "updatemenus": [menu], "margin": {**base["margin"], "t": 84}})


def colours(count: int) -> list[str]:
    """A colour for each cell; they begin again after seven. With five dashes 35 lines differ in one or the other."""
    return [colour(place) for place in range(count)]


def safe(text: str) -> str:
    """Text in which plotly finds no markup."""
    return escape(text, quote=False)


def known(value: float) -> float | None:
    """A number for JSON: nothing where it is unknown."""
    return value if math.isfinite(value) else None


def chart_html(chart: Chart, name: str, label: str) -> str:
    """A place on the page and the script that draws there.

    Args:
        chart: what is drawn.
        name: of the place, a word.
        label: what it shows, for those who cannot see it.
    """
    parts = ",".join(_script(part) for part in (chart.data, chart.layout, CONFIG))
    return (
        f"<div id='{name}' class='chart' role='img' aria-label='{escape(label)}'></div>"
        f"<script>Plotly.newPlot('{name}',{parts});tandemTheme('{name}')</script>"
    )


def _script(value: Any) -> str:
    """JSON that ends no script, whatever text is in it."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")

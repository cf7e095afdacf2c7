"""The page of a study: in a browser, from disk, without a network; and the charts as data."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from matplotlib.colors import to_rgb

from tandem.reports.palette import DASHES
from tandem.study.analysis import Analysis, analyse, focused
from tandem.study.command import write_study
from tandem.study.report.charts import RISING, Chart, chart_html, colours
from tandem.study.report.grids import heat_maps, main_effects, parallel
from tandem.study.report.lines import forest, front, learning_curves, threshold_curves
from tandem.study.runs import read_study

GAMMA = "tasks.segmentation.loss.gamma"
DICE, ACCURACY = "test/segmentation/dice", "test/classification/balanced_accuracy"
HOSTILE = "</script><img src=x onerror=\"document.title='broken'\"><b>'&\" {x}"


def analysed(make: Any, *baseline: str) -> Analysis:
    return analyse(read_study([make.folder]), baseline)


def test_heat_maps_have_a_panel_for_each_weight_and_every_mean(make: Any) -> None:
    make.grid(gammas=(1.0, 2.0, 3.0), seeds=2, weights=(0.5, 1.0, 2.0))
    chart = heat_maps(analysed(make))
    assert chart is not None
    shown = [trace for trace in chart.data if trace["visible"]]
    assert [note["text"] for note in chart.layout["annotations"]] == [
        f"weights.segmentation={w}" for w in ("0.5", "1", "2")
    ]
    assert (shown[0]["y"], shown[0]["x"]) == (["1", "2", "3"], ["0.25", "0.5", "0.75"])
    for trace, weight in zip(shown, (0.5, 1.0, 2.0), strict=True):
        for row, gamma in enumerate((1.0, 2.0, 3.0)):
            expected = [gamma / 10 + alpha / 10 + weight / 100 + 0.0005 for alpha in (0.25, 0.5, 0.75)]
            assert trace["z"][row] == pytest.approx(expected)
    assert sum(value is not None for trace in shown for row in trace["z"] for value in row) == 27


def test_hyperparameters_that_vary_together_are_drawn_once(make: Any) -> None:
    for freeze, lr in (("none", 1e-3), ("encoder", 1e-4)):
        for gamma in (1.0, 2.0):
            make({"network.freeze": freeze, "optimizer.lr": lr, GAMMA: gamma}, {DICE: 0.5 + gamma * lr})
    found = analysed(make, "gamma=1", "freeze=none")
    charts = focused(found)
    assert [*found.params.values()] == ["freeze", "gamma", "lr"]
    assert [*charts.params.values()] == ["freeze", "gamma"]
    heat, effects, drawn = heat_maps(charts), main_effects(charts), forest(charts)
    assert heat is not None
    assert effects is not None
    assert drawn is not None
    (shown,) = (trace for trace in heat.data if trace["visible"])
    at = {(y, x): shown["z"][row][column] for row, y in enumerate(shown["y"]) for column, x in enumerate(shown["x"])}
    assert at["1", "none"] == pytest.approx(0.501)
    assert at["2", "encoder"] == pytest.approx(0.5002)
    assert sorted(drawn.data[0]["y"]) == ["encoder · 1", "encoder · 2", "none · 2"]
    assert charts.baseline in charts.cells
    assert charts.comparisons[DICE][0].cell in charts.cells


def test_a_hole_of_the_grid_stays_empty(make: Any) -> None:
    make.grid(seeds=1)
    folder = make.folder / "000000000001"
    (folder / "results.json").unlink()
    chart = heat_maps(analysed(make))
    assert chart is not None
    assert chart.data[0]["z"][0][0] is None
    assert chart.data[0]["customdata"][0][0] == "no run"


def test_main_effects_are_means_over_cells(make: Any) -> None:
    make.grid(seeds=1)
    chart = main_effects(analysed(make))
    assert chart is not None
    lines = [trace for trace in chart.data if trace["visible"] and trace["mode"] == "lines+markers"]
    assert lines[0]["y"] == pytest.approx([0.11 + 0.05, 0.21 + 0.05])
    assert lines[1]["y"] == pytest.approx([0.16 + alpha / 10 for alpha in (0.25, 0.5, 0.75)])


def test_values_that_are_printed_alike_share_their_main_effect(make: Any) -> None:
    for gamma, dice in ((0.12345671, 0.2), (0.12345672, 0.4), (1.0, 0.5)):
        make({GAMMA: gamma}, {DICE: dice})
    chart = main_effects(analysed(make))
    assert chart is not None
    line = next(trace for trace in chart.data if trace["visible"] and trace["mode"] == "lines+markers")
    assert list(line["x"]) == ["0.123457", "0.123457", "1"]
    assert line["y"] == pytest.approx([0.3, 0.3, 0.5])


def test_the_front_turns_round_what_is_better_lower(make: Any) -> None:
    for gamma, dice, mae in ((1.0, 0.5, 3.0), (2.0, 0.6, 4.0), (3.0, 0.4, 5.0)):
        make({GAMMA: gamma}, {DICE: dice, "test/classification/mae": mae})
    chart = front(analysed(make))
    assert chart is not None
    line = chart.data[0]
    assert sorted(zip(line["x"], line["y"], strict=True)) == [(0.5, 3.0), (0.6, 4.0)]


def test_curves_are_those_of_the_runs(make: Any) -> None:
    make.grid(gammas=(1.0,), seeds=1)
    learnt, swept = learning_curves(analysed(make)), threshold_curves(analysed(make))
    assert learnt is not None
    assert swept is not None
    assert learnt.data[0]["x"] == [0.0, 1.0, 2.0]
    assert learnt.data[0]["y"] == pytest.approx([0.135 - 0.1, 0.135 - 0.05, 0.135 - 0.1 / 3])
    line, dot = swept.data[:2]
    assert (line["x"], dot["x"]) == ([0.2, 0.4, 0.6], [0.4])
    assert dot["y"][0] == pytest.approx(max(line["y"]))


@pytest.mark.parametrize(
    "curve",
    [[1], {"thresholds": 3}, {"thresholds": [], "dice": []}, {"thresholds": [None], "dice": [1]}, {"dice": [1]}],
)
def test_curves_that_are_none_are_left_out(make: Any, curve: Any) -> None:
    make({}, {DICE: 0.5}, curves={"val/segmentation": curve})
    assert threshold_curves(analysed(make)) is None


def test_an_unknown_point_of_a_curve_is_a_gap(make: Any) -> None:
    curve = {"thresholds": [0.1, 0.2], "dice": [float("nan"), 0.5], "short": [1.0]}
    make({}, {DICE: 0.5}, curves={"val/segmentation": curve})
    chart = threshold_curves(analysed(make))
    assert chart is not None
    assert [trace["y"] for trace in chart.data] == [[None, 0.5]]
    assert "[null,0.5]" in chart_html(chart, "c", "c")


def test_what_there_is_nothing_of_is_not_drawn(make: Any) -> None:
    make({}, {DICE: 0.5})
    found = analysed(make)
    charts = (heat_maps, main_effects, parallel, learning_curves, threshold_curves, front, forest)
    assert [draw(found) for draw in charts] == [None] * len(charts)


def test_charts_end_no_script_whatever_they_hold() -> None:
    html = chart_html(Chart([{"name": HOSTILE}], {}), "c", HOSTILE)
    assert html.count("</script>") == 1
    assert "<img" not in html
    found = re.search(r"newPlot\('c',(\[.*?\]),\{", html)
    assert found is not None
    assert json.loads(found[1]) == [{"name": HOSTILE}]


@pytest.mark.parametrize("count", [1, 10, 35])
def test_lines_differ_in_colour_or_dashes(count: int) -> None:
    assert len({(colour, DASHES[place % len(DASHES)]) for place, colour in enumerate(colours(count))}) == count


@pytest.mark.parametrize("ground", ["#ffffff", "#16181b"], ids=["light", "dark"])
@pytest.mark.parametrize("colour", [*colours(7), *(str(colour) for _, colour in RISING)])
def test_lines_are_seen_on_light_and_dark_pages(ground: str, colour: str) -> None:
    """Contrast as in WCAG 2.1; 2 is the palest line of Okabe and Ito's on white."""

    def luminance(code: str) -> float:
        parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(code)]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    low, high = sorted((luminance(ground), luminance(colour)))
    assert (high + 0.05) / (low + 0.05) > 2


def test_validation_data_come_first(make: Any) -> None:
    make.grid(seeds=1)
    for chart in (front(analysed(make)), threshold_curves(analysed(make))):
        assert chart is not None
        assert chart.layout["updatemenus"][0]["buttons"][0]["label"].startswith("val")
    assert "val segmentation: Dice over all pixels" in str(threshold_curves(analysed(make)))


@pytest.fixture
def page(make: Any) -> Path:
    """Of 12 cells and two seeds with a baseline, single-task runs, hostile words, runs that failed."""
    make.grid(seeds=2, weights=(0.5, 1.0))
    for seed in (0, 1):
        alone = {"tasks.classification!": 0, "balance.weights.classification!": 0}
        make({**alone, "seed": seed, "network.decoder": HOSTILE}, {DICE: 0.2, "test/segmentation/<i>": 1.0})
        make({**alone, "seed": seed}, {DICE: 0.25})
    make.status(make.folder / "f", "failed", (HOSTILE,), error=HOSTILE)
    linked = make.folder / "000000000001"
    (linked / "report.html").write_text("<p>of the run</p>")
    both = ["gamma=1", "alpha=0.25", "weights.segmentation=1", "tasks=classification+segmentation"]
    return write_study([make.folder], both)[1][-1]


@pytest.mark.full
def test_the_page_works_in_a_browser(page: Path, browser_page: Callable[[Path], Any]) -> None:
    opened = browser_page(page)
    here = opened.page
    here.wait_for_function("document.querySelectorAll('.chart .main-svg').length > 7")
    assert here.title() == "tandem: Study made"
    assert here.locator("img[src=x], td i").count() == 0
    assert here.locator(".chart").count() == 7
    assert here.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing sticks out"

    rows = here.locator("table.sortable").first.locator("tbody tr")
    assert rows.count() == 14
    head = here.locator("table.sortable").first.locator("th").filter(has_text="val segmentation: Dice (official)")
    values = "all => all.map(row => row.cells[5].dataset.value).filter(text => text !== '').map(Number)"
    head.locator("button").click()
    rising = rows.evaluate_all(values)
    assert rising == sorted(rising)
    head.locator("button").click()
    assert rows.evaluate_all(values) == sorted(rising, reverse=True)
    assert head.get_attribute("aria-sort") == "descending"
    assert "seed 0: " in rows.first.locator("td.n[title]").first.get_attribute("title")

    chart = here.locator("#chart-heat")
    chart.scroll_into_view_if_needed()
    box = chart.locator(".nsewdrag").first.bounding_box()
    here.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    here.mouse.move(box["x"] + box["width"] / 2 + 3, box["y"] + box["height"] / 2)
    hover = chart.locator(".hoverlayer .hovertext")
    hover.first.wait_for()
    assert "gamma=2, alpha=0.5, weights.segmentation=0.5" in hover.first.text_content()
    assert "seed 1: " in hover.first.text_content()

    before = chart.evaluate("chart => chart.data.map(trace => trace.visible)")
    chart.locator(".updatemenu-header").click()
    chart.locator(".updatemenu-dropdown-button").nth(1).click()
    assert chart.evaluate("chart => chart.data.map(trace => trace.visible)") != before
    assert here.locator("a", has_text="000000000001").get_attribute("href") == "../000000000001/report.html"
    assert opened.errors == []
    here.emulate_media(color_scheme="dark")
    chart.locator(".updatemenu-header").click()
    option = chart.locator(".updatemenu-dropdown-button").nth(0).locator("rect")
    ink = option.evaluate("item => getComputedStyle(item).fill")
    assert ink == "rgb(22, 24, 27)", "plotly's own is near white, as is the text"
    assert opened.badly_shown() == []


def test_the_same_study_gives_the_same_page(page: Path, make: Any) -> None:
    before = page.read_bytes()
    both = ["gamma=1", "alpha=0.25", "weights.segmentation=1", "tasks=classification+segmentation"]
    write_study([make.folder], both)
    assert page.read_bytes() == before

"""The report of a load run in a browser, from a file: charts, the cursor that they share, dark, narrow, printed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from load_tests.report import write, write_comparison
from load_tests.report.charts import charts_of, panels_of, value_text
from load_tests.results import Results, Series
from tests.unit.load_tests.report_runs import christmas, naive, simulated_day

pytestmark = pytest.mark.asyncio(loop_scope="session")

Open = Callable[..., Awaitable[Page]]
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 740}
AT = 240  # seconds of the run, at which the cursor stands
LIGHT_CARD, DARK_CARD = "rgb(255, 255, 255)", "rgb(30, 33, 36)"
DRAWN = """
() => [...document.querySelectorAll("figure.chart")].map((figure) => {
  const canvas = figure.querySelector("canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let drawn = 0;
  for (let n = 3; n < data.length; n += 4) drawn += data[n] > 0;
  return drawn;
})
"""
HAS_COLOUR = """
([chart, name]) => {
  const canvas = document.querySelectorAll("figure.chart canvas")[chart];
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const wanted = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const [red, green, blue] = [1, 3, 5].map((n) => parseInt(wanted.slice(n, n + 2), 16));
  let found = 0;
  for (let n = 0; n < data.length; n += 4) found += data[n] === red && data[n + 1] === green && data[n + 2] === blue;
  return found;
}
"""
NOW = """
(figure) => [...figure.querySelectorAll("tbody tr")].map(({ cells }) => [cells[0].textContent, cells[1].textContent])
"""
OVERFLOWS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser: Browser) -> AsyncIterator[Open]:
    """Open a page's file in a browser; in the end nothing was asked of a network, and no error was logged."""
    asked: list[str] = []
    errors: list[str] = []
    async with AsyncExitStack() as closing:

        async def open_file(path: Path, **options: Any) -> Page:
            context = await browser.new_context(**({"viewport": DESKTOP} | options))
            closing.push_async_callback(context.close)
            page = await context.new_page()
            page.on("request", lambda request: asked.append(request.url))
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("console", lambda message: errors.append(message.text) if message.type != "log" else None)
            await page.goto(path.as_uri())
            return page

        yield open_file
    assert errors == []
    assert [url for url in asked if not url.startswith("file:")] == []
    assert len(asked) == len({*asked}), "a file asked for another"


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """Write the report of the christmas run."""
    return write(christmas(), tmp_path)


@pytest.fixture
def comparison(tmp_path: Path) -> Path:
    """Naive against christmas."""
    return write_comparison(naive(), christmas(), tmp_path / "comparison.html")


@pytest.mark.parametrize(
    "run", [christmas, naive, simulated_day, lambda: christmas(invalid=["saturated"])],
    ids=["christmas", "naive", "day", "invalid"],
)  # fmt: skip
async def test_every_panel_is_drawn(open_page: Open, tmp_path: Path, run: Callable[[], Results]) -> None:
    """Each panel has a canvas on which something stands, and the page asks for nothing."""
    page = await open_page(write(run(), tmp_path))
    drawn = await page.evaluate(DRAWN)
    assert len(drawn) == len(charts_of(run()))
    assert min(drawn) > 500


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_lines_have_their_colours(open_page: Open, report: Path, scheme: str) -> None:
    """The first line of each chart is there, in its colour of the scheme."""
    page = await open_page(report, color_scheme=scheme)
    for n, chart in enumerate(charts_of(christmas())):
        line = max(chart.lines, key=lambda line: line.peak_value if not line.limit else 0)
        assert await page.evaluate(HAS_COLOUR, [n, f"--c{line.colour}"]) > 20, (chart.title, line.name)


async def test_the_page_follows_the_scheme(open_page: Open, report: Path) -> None:
    """Who switches to dark gets dark cards and charts drawn anew."""
    page = await open_page(report, color_scheme="light")
    card = page.locator("figure.chart").first
    assert await _background(card) == LIGHT_CARD
    before = await _pixels(page)
    await page.emulate_media(color_scheme="dark")
    await page.wait_for_function("before => document.querySelector('canvas').toDataURL() !== before", arg=before)
    assert await _background(card) == DARK_CARD


async def test_the_cursor_is_in_all_charts(open_page: Open, report: Path) -> None:
    """Over one chart, the tables of all have the values of that moment, as the page's tables write numbers."""
    page = await open_page(report)
    await _point(page, 0)
    moments = await page.locator(".moment").all_inner_texts()
    assert len(set(moments)) == 1
    minutes, seconds = moments[0].removeprefix("at ").split(":")
    at = int(minutes) * 60 + int(seconds)
    assert abs(at - AT) <= 3
    known = {(series.panel, series.name): series for series in christmas().series}
    figures = await page.locator("figure.chart").all()
    for panel, figure in zip(_panels(), figures, strict=True):
        for name, text in await figure.evaluate(NOW):
            assert text == _known_text(known[panel, name], at), (panel, name)


async def test_a_gap_has_no_value(open_page: Open, report: Path) -> None:
    """Where nothing was seen the table has a dash; the limit beside it has its value."""
    page = await open_page(report)
    await _point(page, _panels().index("concurrency"), at=306)
    figure = page.locator("figure.chart").nth(_panels().index("concurrency"))
    now = dict(await figure.evaluate(NOW))
    assert (now["ingest"], now["ingest limit"]) == ("–", "4")


async def test_dragging_zooms_all_charts_and_a_double_click_goes_back(open_page: Open, report: Path) -> None:
    """A part of the run is looked at in all charts at once."""
    page = await open_page(report)
    before = await _pixels(page, 3)
    over = page.locator(".u-over").first
    await over.scroll_into_view_if_needed()
    box = await over.bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 50)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 50, steps=5)
    await page.mouse.up()
    changed = "([n, before, same]) => (document.querySelectorAll('canvas')[n].toDataURL() === before) === same"
    await page.wait_for_function(changed, arg=[3, before, False])
    await page.mouse.dblclick(box["x"] + box["width"] * 0.5, box["y"] + 50)
    await page.wait_for_function(changed, arg=[3, before, True])


async def test_histograms_need_no_script(open_page: Open, report: Path) -> None:
    """Without JavaScript there are the verdict, all tables, the lines' figures, and histograms with p50 and p99."""
    page = await open_page(report, java_script_enabled=False)
    assert await page.locator(".verdict .word").inner_text() == "✓ Passed"
    histograms = await page.locator("figure.histogram").all()
    assert len(histograms) == len(christmas().stages)
    for histogram in histograms:
        assert await histogram.locator("rect.bar").count() > 3
        assert [text.split()[0] for text in await histogram.locator("text.mark").all_text_contents()] == ["p50", "p99"]
    assert "64.2" in await page.locator("figure.chart").first.inner_text()


@pytest.mark.parametrize("kind", ["report", "comparison"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_phone_scrolls_down_only(
    open_page: Open, request: pytest.FixtureRequest, kind: str, scheme: str
) -> None:
    """On a narrow screen nothing sticks out; wide tables scroll within themselves, and charts fit."""
    page = await open_page(request.getfixturevalue(kind), viewport=PHONE, color_scheme=scheme)
    assert await page.evaluate(OVERFLOWS) <= 0
    assert min(await page.evaluate(DRAWN)) > 500


async def test_charts_follow_the_window(open_page: Open, report: Path) -> None:
    """A window made narrower gets narrower charts."""
    page = await open_page(report)
    await page.set_viewport_size(PHONE)
    await page.wait_for_function("() => document.querySelector('figure.chart canvas').clientWidth <= 360")
    assert await page.evaluate(OVERFLOWS) <= 0


async def test_prints_are_light(open_page: Open, report: Path) -> None:
    """On paper charts have the colours of the light page, whatever the screen has; afterwards it is dark again."""
    page = await open_page(report, color_scheme="dark")
    await page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
    assert await page.evaluate("() => getComputedStyle(document.documentElement).getPropertyValue('--c0')") == "#095ebc"
    assert await page.evaluate(HAS_COLOUR, [_panels().index("age"), "--c0"]) > 20
    await page.evaluate("() => dispatchEvent(new Event('afterprint'))")
    assert await _background(page.locator("figure.chart").first) == DARK_CARD


async def test_two_runs_stand_beside_each_other(open_page: Open, comparison: Path) -> None:
    """Panels of both are drawn at the same height with the same axes, under one cursor."""
    page = await open_page(comparison)
    assert await page.locator(".verdict .word").all_inner_texts() == ["✗ Failed", "✓ Passed"]
    assert min(await page.evaluate(DRAWN)) > 500
    canvases = await page.locator("#charts .pair").first.locator("canvas").all()
    left, right = [await canvas.bounding_box() for canvas in canvases]
    assert left and right and (left["y"], left["width"]) == (right["y"], right["width"])  # noqa: PT018
    await _point(page, 0)
    moments = {text for text in await page.locator(".moment").all_inner_texts() if text}
    assert len(moments) == 1
    missing = [text.split("“")[1][:-2] for text in await page.locator(".missing").all_inner_texts()]
    assert missing == ["christmas", "naive", "naive", "naive"]  # the API's throttles; ingest's, backlog, age


async def test_hostile_names_run_nothing(open_page: Open, tmp_path: Path) -> None:
    """Markup in a name is shown as text, in the tables and under the cursor."""
    name = "</script><img src=x onerror=\"document.title='taken'\">"
    series = Series(panel=name, name=name, unit=name, t=[0.0, 1.0, 2.0], values=[1.0, 2.0, 3.0])
    page = await open_page(write(christmas(title=name, scenario=name, series=[series]), tmp_path))
    await _point(page, 0, at=240)
    assert await page.title() == f"{name}: passed"
    assert await page.locator("img").count() == 0
    assert name in await page.locator("figure.chart").inner_text()


def _panels() -> list[str]:
    return list(panels_of(christmas()))


async def _point(page: Page, chart: int, at: float = AT) -> None:
    """Hold the mouse over a chart, at a moment of the run."""
    over = page.locator(".u-over").nth(chart)
    await over.scroll_into_view_if_needed()
    box = await over.bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + box["width"] * at / charts_of(christmas())[0].span, box["y"] + box["height"] / 2)
    await page.wait_for_function("() => document.querySelector('.moment').textContent !== ''")


def _known_text(series: Series, at: float) -> str:
    """Return the value nearest to a moment, as a table writes it."""
    _, value = min(zip(series.t, series.values, strict=True), key=lambda point: abs(point[0] - at))
    return value_text(None if value is None else float(f"{value:.4g}"), series.unit)


async def _background(locator: Any) -> str:
    return str(await locator.evaluate("(element) => getComputedStyle(element).backgroundColor"))


async def _pixels(page: Page, chart: int = 0) -> str:
    return str(await page.evaluate("n => document.querySelectorAll('canvas')[n].toDataURL()", chart))

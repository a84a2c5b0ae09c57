"""The report as a reader has it: in a real Chromium, with clicks, without scripts, on a phone and on paper."""

import collections.abc
import dataclasses
import json
import pathlib
import shutil
import typing

import pytest

from optimal_tp.report.files import write
from optimal_tp.report.physics.reached import reached
from optimal_tp.verdict.analysis import analyse
from optimal_tp.verdict.rule import decide
from tests.fakes_crossing import EXTRAPOLATED, LOOSE_MS, STATED, crossing_run, with_physics
from tests.fakes_screenshots import ROUND, SHOTS, around, prepare

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
Browser = typing.Any
"""Of playwright, which a machine may lack."""
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on PATH")


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Return the page of a run whose best candidate depends on the limit."""
    record, samples = crossing_run(LOOSE_MS)
    return write(tmp_path_factory.mktemp("page"), analyse(record, samples, decide(record, samples)))[0]


@pytest.fixture(scope="module")
def whole_file(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Return the page of such a run with all that may stand beside it: roof, extrapolations, another's predictions."""
    record, samples = crossing_run(LOOSE_MS)
    record = with_physics(record)
    verdict = decide(record, samples)
    analysis = analyse(record, samples, verdict, EXTRAPOLATED, stated=STATED)
    analysis = dataclasses.replace(analysis, reached=reached(record, samples, verdict))
    return write(tmp_path_factory.mktemp("whole"), analysis)[0]


@pytest.fixture(scope="module")
def browser() -> collections.abc.Iterator[Browser]:
    """Return a Chromium without a window."""
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


class Opened:
    """The page in a tab, with everything that went wrong or went out."""

    def __init__(self, browser: Browser, file: pathlib.Path, **options: object) -> None:
        """Open ``file``; ``options`` are the tab's."""
        self.context = browser.new_context(**options)
        self.tab = self.context.new_page()
        self.errors: list[str] = []
        self.asked: list[str] = []
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tab.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        self.tab.on("request", lambda request: self.asked.append(request.url))
        self.tab.goto(file.as_uri())

    def move(self, place: int) -> str:
        """Put the slider at ``place``; return the winner that the page names."""
        self.tab.locator(".slider").fill(str(place))
        return self.winner

    @property
    def winner(self) -> str:
        """The candidate that the page names now; empty for none."""
        return self.tab.locator(".winner").get_attribute("data-winner") or ""


@pytest.fixture
def opened(browser: Browser, page_file: pathlib.Path) -> collections.abc.Iterator[Opened]:
    """Return the page, just opened."""
    found = Opened(browser, page_file)
    yield found
    found.context.close()


def points(file: pathlib.Path) -> list[dict[str, object]]:
    """Return the choice at each limit, as verdict.json has it."""
    (view,) = json.loads(file.with_name("verdict.json").read_text())["by_limit"]
    found: list[dict[str, object]] = view["points"]
    return found


def test_the_page_starts_at_the_runs_own_limit_with_the_verdicts_choice(opened: Opened) -> None:
    """Nothing has been moved: the page says what the run settled."""
    assert opened.winner == "TP1"
    assert opened.tab.locator("output.limit").inner_text() == "2.5 s (this run's)"


def test_the_slider_moves_the_winner_where_the_data_say_so(opened: Opened, page_file: pathlib.Path) -> None:
    """At every limit the page names the stored choice, or that it is too close; both candidates win somewhere."""
    seen = set()
    for place, point in enumerate(points(page_file)):
        winner = opened.move(place)
        seen.add(winner)

        assert winner in ("", point["choice"])
    assert seen == {"", "TP1", "TP2"}
    assert opened.errors == []


def test_a_tight_limit_chooses_the_faster_candidate(opened: Opened, page_file: pathlib.Path) -> None:
    """At 0.8 to 1 s only TP2 answers in time; the line says so in words."""
    place = next(place for place, one in enumerate(points(page_file)) if 800 <= float(str(one["limit_ms"])) <= 1000)

    assert opened.move(place) == "TP2"
    assert opened.tab.locator(".winner").inner_text() == "TP2"
    assert opened.tab.locator(".outcome tr.best th").inner_text() == "TP2"


def test_an_open_run_has_no_winner_before_it_is_settled(browser: Browser, tmp_path: pathlib.Path) -> None:
    """Who leads is said so in words of the text's size, and no row has the winner's colour."""
    record, samples = crossing_run(LOOSE_MS)
    verdict = dataclasses.replace(decide(record, samples), outcome="inconclusive", chosen=None, provisional="TP1")
    opened = Opened(browser, write(tmp_path, analyse(record, samples, verdict))[0])
    line, usual = opened.tab.locator(".winner"), opened.tab.locator(".play")
    sizes = [one.evaluate("it => getComputedStyle(it).fontSize") for one in (line, usual)]

    assert line.inner_text() == "TP1 leads so far"
    assert sizes[0] == sizes[1]
    assert opened.tab.locator(".outcome tr.best").count() == 0

    opened.tab.locator(".rate").fill("100")
    opened.tab.locator(".price").fill("10")

    assert line.inner_text() == "TP1 is cheapest at this rate, so far"
    opened.context.close()


def test_a_price_of_its_own_moves_the_winner(opened: Opened) -> None:
    """TP2 does some 24 % less per core: at 10 % less it is dearer still, at half the price it wins."""
    field = opened.tab.locator('.outcome input[data-name="TP2"]')
    field.fill("4.3")
    field.blur()

    assert opened.winner == "TP1"

    field = opened.tab.locator('.outcome input[data-name="TP2"]')
    field.fill("2.4")
    field.blur()

    assert opened.winner == "TP2"
    assert opened.tab.locator(".winner").inner_text() == "TP2 is cheapest per token"


def test_price_and_rate_give_dollars_a_month(opened: Opened) -> None:
    """100 requests/s at some 4 per core take 25 cores of TP1: 7 instances of 4, at $10 an hour."""
    opened.tab.locator(".rate").fill("100")
    opened.tab.locator(".price").fill("10")
    month = opened.tab.locator(".outcome tbody tr").first.locator("td").last.inner_text()

    assert month.endswith(")")
    units = int(month.partition("(")[2].rstrip(")"))
    assert month.startswith(f"${units * 7300:,} ")
    assert opened.winner == "TP1"


def test_the_documents_picture_of_the_choice_shows_what_it_says(opened: Opened) -> None:
    """The slider at 1.05 s and a rate of 100/s: TP2 is cheapest, TP1 misses the limit."""
    prepare(opened.tab, SHOTS["report-choice.png"])
    first = opened.tab.locator(".outcome tbody tr").first.inner_text()

    assert opened.tab.locator(".winner").inner_text() == "TP2 is cheapest at this rate"
    assert first.split()[0] == "TP1"
    assert "misses it" in first


def test_a_picture_of_a_part_is_taken_where_the_part_is(opened: Opened) -> None:
    """Also where the page was scrolled: a picture of the choice once showed the page's top."""
    opened.tab.evaluate("scrollTo(0, 0)")
    top = opened.tab.locator(".choice").bounding_box()["y"]
    opened.tab.evaluate("scrollTo(0, 700)")

    assert opened.tab.evaluate("scrollY") == 700
    assert around(opened.tab, ".choice")["y"] == pytest.approx(top - ROUND)


def test_a_button_copies_what_stands_beside_it(browser: Browser, page_file: pathlib.Path) -> None:
    """A command, and the summary."""
    found = Opened(browser, page_file, permissions=["clipboard-read", "clipboard-write"])
    found.tab.locator('[data-copy="action-1"]').click()
    command = found.tab.evaluate("navigator.clipboard.readText()")
    found.tab.locator('[data-copy="summary"]').click()
    found.tab.locator('[data-copy="summary"]', has_text="Copied").wait_for()
    summary = found.tab.evaluate("navigator.clipboard.readText()")
    found.context.close()

    assert command.startswith("optimal-tp plan ")
    assert summary.startswith("Serve with TP1: most per core within limits\n")


def test_nothing_is_fetched_and_nothing_fails(opened: Opened, page_file: pathlib.Path) -> None:
    """The page is the only request."""
    opened.tab.locator("details").first.locator("summary").click()

    assert opened.asked == [page_file.as_uri()]
    assert opened.errors == []


def test_without_scripts_the_page_is_whole(browser: Browser, page_file: pathlib.Path) -> None:
    """Answer, choice by limit, pictures and checks stand there; what needs a script is not shown."""
    found = Opened(browser, page_file, java_script_enabled=False)
    shown = found.tab.locator("body").inner_text()
    controls = found.tab.locator(".play, button").filter(visible=True).count()
    pictures = found.tab.locator("svg[role=img]").count()
    found.context.close()

    assert controls == 0
    assert pictures == 6
    for words in ("Practice run", "Serve with TP1", "If your limit is", "Why you can trust this", "Do this"):
        assert words in shown


@pytest.mark.parametrize("width", [390, 320], ids=["phone", "small phone"])
@pytest.mark.parametrize("file", ["page_file", "whole_file"], ids=["a run", "a run with all beside it"])
def test_a_phone_never_scrolls_sideways(
    browser: Browser, request: pytest.FixtureRequest, file: str, width: int
) -> None:
    """Nothing is wider than the screen, with every table unfolded; nor is a table wider than its place."""
    page: pathlib.Path = request.getfixturevalue(file)
    found = Opened(browser, page, viewport={"width": width, "height": 800})
    found.tab.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    wide = found.tab.evaluate("document.documentElement.scrollWidth")
    over = "places => places.filter(one => one.scrollWidth > one.clientWidth).length"
    too_wide = found.tab.locator(".scroll:has(table)").evaluate_all(over)
    found.context.close()

    assert (wide, too_wide) == (width, 0)


def test_what_stands_beside_a_run_is_on_its_page(browser: Browser, whole_file: pathlib.Path) -> None:
    """Limit, extrapolation and another's prediction each have their section, with their figures set flush right."""
    found = Opened(browser, whole_file)
    heads = found.tab.locator("h2").all_inner_texts()
    limits = found.tab.locator(".limits tbody tr").all_inner_texts()
    turned = found.tab.locator(".word.invalid").all_inner_texts()
    aligned = found.tab.locator(".limits td.num").evaluate_all(
        "cells => cells.map(cell => getComputedStyle(cell).textAlign)"
    )
    errors = found.errors
    found.context.close()

    assert heads[2].startswith("How far from the limit")
    assert heads[3] == "What would change the answer"
    assert heads[4].startswith("Predicted by A planner 1.4")
    assert [row.split()[0] for row in limits] == ["TP1", "TP2"]
    assert turned == ["inverted"]
    assert set(aligned) == {"right"}
    assert errors == []


def test_words_can_be_read_in_the_dark(browser: Browser, page_file: pathlib.Path) -> None:
    """The pictures' ink follows the page's."""
    colours = []
    for scheme in ("light", "dark"):
        found = Opened(browser, page_file, color_scheme=scheme)
        colours.append(found.tab.evaluate("getComputedStyle(document.querySelector('svg text.name')).fill"))
        found.context.close()

    assert colours == ["rgb(27, 31, 36)", "rgb(230, 232, 235)"]


def test_paper_has_everything_but_the_controls(opened: Opened) -> None:
    """Folded parts are printed; sliders and buttons are not."""
    opened.tab.emulate_media(media="print")

    assert opened.tab.locator(".play, button").filter(visible=True).count() == 0
    folded = opened.tab.evaluate(
        "getComputedStyle(document.querySelector('details'), '::details-content').contentVisibility"
    )
    assert folded == "visible"

"""The pictures of the report in the documents, taken in a real Chromium from a simulated run.

``python -m tests.fakes_screenshots`` writes them into ``docs/images``. It needs playwright and a Chromium on PATH.
Fonts differ between machines, so no test compares the files; tests hold that each is shown, and what the choice shows.
"""

import dataclasses
import pathlib
import shutil
import tempfile
import typing

from optimal_tp.report.files import write
from optimal_tp.verdict.analysis import analyse
from optimal_tp.verdict.rule import decide
from tests.fakes_crossing import LOOSE_MS, crossing_run
from tests.fakes_stack_files import ROOT

FOLDER = ROOT / "docs" / "images"
A4 = (794, 1123)
"""In CSS pixels of 1/96 inch."""
MARGIN = "14mm"
"""Of the printed page, as the style sheet has it."""
ROUND = 10
"""CSS pixels above and below a part of the page."""
Tab = typing.Any
"""Of playwright, which a machine may lack."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shot:
    """One picture: how the page is opened, and which part of it is taken."""

    size: tuple[int, int]
    part: str | None = None
    """CSS selector of what is taken; None: what the window shows."""
    scheme: typing.Literal["light", "dark"] = "light"
    is_printed: bool = False
    limit: str | None = None
    """Where the slider stands, in the page's words."""
    rate: str | None = None
    """Of requests a second, as typed into the page."""


SHOTS: typing.Final[dict[str, Shot]] = {
    "report-top.png": Shot(size=(1000, 860)),
    "report-choice.png": Shot(size=(960, 800), part=".choice", limit="1.05 s", rate="100"),
    "report-pictures.png": Shot(size=(960, 800), part=".pictures", scheme="dark"),
    "report-phone.png": Shot(size=(390, 780)),
    "report-print.png": Shot(size=A4, is_printed=True),
}


TAKEN_ONCE: typing.Final = frozenset({"report-before.png"})
"""The page as commit 1690e7d drew it, shown by docs/decisions/0085-the-report-redrawn.md: its code is gone."""


def page(folder: pathlib.Path) -> pathlib.Path:
    """Return the page that is shown, written into ``folder``."""
    record, samples = crossing_run(LOOSE_MS)
    return write(folder, analyse(record, samples, decide(record, samples)))[0]


def prepare(tab: Tab, shot: Shot) -> None:
    """Bring the open page into the state that ``shot`` shows. Raises ValueError for a limit that it never has."""
    if shot.limit is not None:
        slider, shown = tab.locator(".slider").first, tab.locator("output.limit").first
        for place in range(int(slider.get_attribute("max")) + 1):
            slider.fill(str(place))
            if shown.inner_text() == shot.limit:
                break
        else:
            raise ValueError(f"the slider must pass {shot.limit}")
    if shot.rate is not None:
        tab.locator(".rate").first.fill(shot.rate)
    if shot.is_printed:
        tab.emulate_media(media="print")
        tab.evaluate(f"document.documentElement.style.padding = '{MARGIN}'")


def around(tab: Tab, part: str) -> dict[str, float]:
    """Return the whole width of the page around ``part``, from the page's top: it may have been scrolled."""
    box = tab.locator(part).first.evaluate(
        "one => { const box = one.getBoundingClientRect(); return [box.top + scrollY, box.height, innerWidth]; }"
    )
    top, height, width = box
    return {"x": 0, "y": top - ROUND, "width": width, "height": height + 2 * ROUND}


def take(browser: Tab, file: pathlib.Path, shot: Shot) -> bytes:
    """Return the PNG of ``shot`` of the page in ``file``."""
    width, height = shot.size
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=shot.scheme)
    tab = context.new_page()
    tab.goto(file.as_uri())
    prepare(tab, shot)
    taken: bytes = (
        tab.screenshot() if shot.part is None else tab.screenshot(full_page=True, clip=around(tab, shot.part))
    )
    context.close()
    return taken


def main() -> None:
    """Take every picture."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - a machine may lack it

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as driver, tempfile.TemporaryDirectory() as folder:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        file = page(pathlib.Path(folder))
        for name, shot in SHOTS.items():
            (FOLDER / name).write_bytes(take(browser, file, shot))
        browser.close()


if __name__ == "__main__":
    main()

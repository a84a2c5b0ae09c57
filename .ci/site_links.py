"""Fit pages that are written for a git host into the site: links that leave docs/, and pages that lie outside it."""

import pathlib
import posixpath
import re

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = pathlib.Path(__file__).parents[1]
OUTSIDE = {
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "bench/README.md": "evidence/bench.md",
}
"""Pages of the repository outside docs/, and their places in the site."""

ORIGIN = {place: name for name, place in OUTSIDE.items()}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie outside docs/."""
    for name, place in OUTSIDE.items():
        files.append(File.generated(config, place, content=(ROOT / name).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links at the site's places; what has none is named instead: the site knows no address of the repository."""
    here = page.file.src_uri
    folder = posixpath.dirname(ORIGIN.get(here, f"docs/{here}"))

    def moved(match: re.Match[str]) -> str:
        words, link, anchor = match[1], match[2], match[3] or ""
        if "://" in link:
            return match[0]
        target = posixpath.normpath(posixpath.join(folder, link))
        place = OUTSIDE.get(target, target.removeprefix("docs/") if target.startswith("docs/") else "")
        if place and (config.docs_dir is None or files.get_file_from_path(place) or place == here):
            return f"[{words}]({posixpath.relpath(place, posixpath.dirname(here) or '.')}{anchor})"
        if target.startswith("docs/"):
            return match[0]  # a dead link: mkdocs says so
        plain = words.strip("`")
        return f"`{plain}`" if plain == target else f"{words} (`{target}`)"

    return re.sub(r"(?<!!)\[([^]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)", moved, markdown)

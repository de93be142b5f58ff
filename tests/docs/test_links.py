"""Links lead somewhere, and named files are there."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import CHECKOUT, Page, page, pages

MADE = {"build", "dist"}
FOLDERS = {path.name for path in CHECKOUT.iterdir() if path.is_dir() and path.name[0] != "."} - MADE
PATH = re.compile(r"[\w.-]+(/[\w.-]+)*/?")


@pytest.mark.parametrize("which", pages(), ids=lambda one: one.name)
def test_links_resolve(which: Page) -> None:
    """To a file or folder of the checkout, and to a heading in it where one is named."""
    for link in which.links():
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = (which.path.parent / name).resolve() if name else which.path
        assert target.exists(), f"{which.name}: {link}"
        if anchor:
            assert anchor in page(str(target.relative_to(CHECKOUT))).anchors(), f"{which.name}: {link}"


@pytest.mark.parametrize("which", pages(), ids=lambda one: one.name)
def test_named_files_exist(which: Page) -> None:
    """A span like `docs/deploy.md` or `stack/` that begins with a folder of ours names something."""
    for span in which.spans():
        if PATH.fullmatch(span) and span.split("/")[0] in FOLDERS and "/" in span:
            assert (CHECKOUT / span).exists(), f"{which.name}: {span}"


def test_readme_leads_to_every_page() -> None:
    """Nothing in docs/ is hidden: README or a page that it leads to has a link."""
    reached = {CHECKOUT / "README.md"}
    waiting = list(reached)
    while waiting:
        here = waiting.pop()
        for link in page(str(here.relative_to(CHECKOUT))).links():
            target = (here.parent / link.partition("#")[0]).resolve()
            if target.is_dir():
                target = target / "README.md"
            if target.suffix == ".md" and target.is_file() and target not in reached:
                reached.add(target)
                waiting.append(target)
    assert {one.path for one in pages()} - reached == set()

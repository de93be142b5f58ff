"""The reading of pages finds what it is for: each fault of a page is reported once, by name."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import psutil
import pytest

from tests.browser.chromium import Page, browser, chromium_path, needs_chromium
from tests.browser.reading import DESK, PHONE, UnreadableError, Variant, read_everywhere, variants_of
from tests.loopback import QuietHandler, http_server

pytestmark = needs_chromium

VARIANTS = (Variant("en", "light", DESK), Variant("en", "light", PHONE))
GOOD = "<h1>Batches</h1><p><a href='/'>All batches</a></p>"
FAULTS = {
    "too-wide": (f"{GOOD}<div style='width: 800px'>Wide</div>", "px in a window of 390 px: div. Wide"),
    "cut": (
        f"{GOOD}<p style='width: 3em; overflow: hidden; white-space: nowrap'>Longer than that</p>",
        "cut text: 'Longer than that'",
    ),
    "id-first": ("<h1>BQ7VQ3JZ2K5N6P4R2TABCDEFGH</h1>", "begins with an internal id"),
    "faint": (f"{GOOD}<p style='color: #ccc'>Faint words</p>", "axe color-contrast (serious)"),
    "unnamed": (f"{GOOD}<input>", "axe label (critical)"),
    "no-focus": (
        f"{GOOD}<button style='outline: none'>Pay</button>",
        "the focus is not visible on 'button Pay'",
    ),
    "no-tab": (f"{GOOD}<button tabindex=-1>Pay</button>", "Tab does not reach 'button Pay'"),
    "script": (f"{GOOD}<script>throw new Error('broken')</script>", "a script failed: Error: broken"),
    "console": (f"{GOOD}<script>console.error('oh')</script>", "console.error: oh"),
    "missing": (f"{GOOD}<img src='/none.png' alt='none'>", "none.png answered 404"),
    "policy": (f"{GOOD}<style>h1 {{ color: red }}</style>", "Content Security Policy"),
    "no-heading": ("<p>Text</p>", "exactly one h1"),
}


SLOW_SECONDS = 0.3
LINK = f"{GOOD}<form action=slow.html><button>Slow</button></form>"


class Pages(QuietHandler, SimpleHTTPRequestHandler):
    """Files of a folder, without words; one page has a policy that its own style breaks, and one is slow."""

    def end_headers(self) -> None:
        """Adds the policy."""
        if "slow" in self.path:
            time.sleep(SLOW_SECONDS)
        if "policy" in self.path:
            self.send_header("Content-Security-Policy", "style-src 'self'")
        super().end_headers()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with a page for each fault, and one without any."""
    folder: Path = tmp_path_factory.mktemp("pages")
    for name, body in {
        "good": GOOD,
        "slow": GOOD,
        "link": LINK,
        **{name: body for name, (body, _) in FAULTS.items()},
    }.items():
        (folder / f"{name}.html").write_text(
            f"<!DOCTYPE html><html lang=en><meta charset=utf-8><title>{name}</title>"
            "<meta name=viewport content='width=device-width'><body style='background: white'>"
            f"<main>{body}</main>"
        )
    (folder / "favicon.ico").write_bytes(b"")
    with http_server(partial(Pages, directory=folder)) as url:
        yield url


def test_good_page_passes(page: Page, site: str) -> None:
    """A page without faults raises nothing."""
    read_everywhere(page, f"{site}/good.html", variants=VARIANTS)


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_found(page: Page, site: str, fault: str) -> None:
    """A page with one fault is refused, and the text names the fault."""
    with pytest.raises(UnreadableError) as refused:
        read_everywhere(page, f"{site}/{fault}.html", variants=VARIANTS)
    found = [line for line in str(refused.value).splitlines()[1:] if not line.startswith("    in ")]
    assert any(FAULTS[fault][1] in line for line in found), str(refused.value)


def test_other_language_and_theme_are_found(page: Page, site: str) -> None:
    """A page that stays English and light is not what an Indonesian with a dark system asked for."""
    with pytest.raises(UnreadableError, match="expected 'id'") as refused:
        read_everywhere(page, f"{site}/good.html", variants=(Variant("id", "dark", DESK),))
    assert "the page is not dark" in str(refused.value)


@pytest.mark.parametrize("name", ["batches", "orders", "home"])
def test_every_page_is_read_in_every_variant(name: str) -> None:
    """Both languages, themes and widths; the page is loaded once for each language, each in its own theme."""
    looks = variants_of(name)
    assert len({variant[:3] for variant in looks}) == len(looks) == 8
    assert [variant.language for variant in looks] == ["id"] * 4 + ["en"] * 4
    assert {looks[0].theme, looks[4].theme} == {"light", "dark"}


def test_click_waits_for_the_page_that_it_asks_for(page: Page, site: str) -> None:
    """What follows a click never meets the page that is being replaced; Enter is like a click."""
    page.open(f"{site}/link.html")
    page.click("button", "Slow")
    assert page.evaluate("location.pathname") == "/slow.html"
    page.open(f"{site}/link.html")
    page.tab_to("button")
    page.press("Enter")
    assert page.evaluate("location.pathname") == "/slow.html"


def test_a_browser_ends_with_its_block() -> None:
    """All of its processes, also where the program is a script around the browser."""
    path = chromium_path()
    assert path is not None
    here = psutil.Process()
    before = set(here.children(recursive=True))
    with browser(path):
        started = set(here.children(recursive=True)) - before
        assert len(started) > 2
    _, alive = psutil.wait_procs(started, timeout=30)
    assert alive == []

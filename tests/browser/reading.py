"""What every page of the console must pass, in both languages, light and dark, on a desk and on a phone.

:func:`read_everywhere` opens a page in each of these and raises one error with everything that it found. With
``SAT_TEST_PICTURES`` set to a folder, it leaves a picture of each.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from zlib import crc32

from tests.browser.chromium import Page

AXE = Path(__file__).with_name("axe.min.js")
AXE_SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
"""axe-core 4.14.1 as its npm package has it."""
PICTURES_VARIABLE = "SAT_TEST_PICTURES"
SERIOUS = ("serious", "critical")
DESK, PHONE = 1280, 390
MAXIMUM_TAB_STOPS, TABS_AT_ONCE = 400, 10

# A page is wider than its window, and the elements that make it so.
_TOO_WIDE = """(() => {
  const wide = document.documentElement.scrollWidth, room = document.documentElement.clientWidth;
  if (wide <= room) return null;
  const scrolls = e => { for (let p = e.parentElement; p; p = p.parentElement)
    if (p !== document.body && p !== document.documentElement
        && ['auto', 'scroll', 'hidden', 'clip'].includes(getComputedStyle(p).overflowX)) return true;
    return false; };
  const out = [...document.querySelectorAll('body *')]
    .filter(e => e.getBoundingClientRect().right > room + 1 && !scrolls(e)).slice(0, 3)
    .map(e => e.tagName.toLowerCase() + '.' + e.className + ' ' + e.textContent.trim().slice(0, 30));
  return `${wide} px in a window of ${room} px: ${out.join(' | ')}`;
})()"""
# Words that end where their box ends. What may end in dots says its whole text in a title.
_CUT = """[...document.querySelectorAll('body *')].filter(e => {
  const style = getComputedStyle(e);
  return ['hidden', 'clip'].includes(style.overflowX) && e.textContent.trim() && !e.title
    && e.clientWidth > 1 && e.scrollWidth > e.clientWidth + 1;
}).map(e => e.textContent.trim().slice(0, 60))"""
_HEADINGS = "[...document.querySelectorAll('h1, h2, h3, legend, caption')].map(e => e.innerText.trim())"
# Notes each element that gets the focus, and how it looks with it.
_FOLLOW_FOCUS = """(() => {
  document.activeElement?.blur();
  scrollTo(0, 0);
  const stops = window.__stops = new Map();
  window.__looks = e => { const s = getComputedStyle(e);
    return [s.outlineStyle === 'none' ? '' : s.outlineWidth + s.outlineColor, s.boxShadow, s.borderColor,
      s.backgroundColor, s.textDecorationLine].join(); };
  window.__named = e =>
    e.tagName.toLowerCase() + ' ' + (e.innerText || e.name || e.title || '').trim().slice(0, 40);
  let last = null;
  document.addEventListener('focusin', ({target}) => {
    // A field of several parts, like a date, keeps the focus for each of them.
    if (stops.has(target) && target !== last) window.__isRound = true;
    const box = target.getBoundingClientRect();
    if (!stops.has(target)) stops.set(target, [box.width > 0 && box.height > 0, window.__looks(target)]);
    last = target;
  });
  document.addEventListener('focusout', ({relatedTarget}) => { if (!relatedTarget) last = null; });
})()"""
_IS_ROUND = "window.__isRound || [document.body, document.documentElement].includes(document.activeElement)"
# Elements at which a person does not see the focus: neither outline, shadow nor border change.
_UNSEEN = """(() => {
  document.activeElement?.blur();
  return [...window.__stops].filter(([e, [isThere, focused]]) => !isThere || window.__looks(e) === focused)
    .map(([e]) => window.__named(e));
})()"""
# Controls that Tab must reach: all that are visible and enabled; a group of radio buttons is one stop. They
# are compared by name: a live page replaces its parts meanwhile.
_UNREACHED = """[...document.querySelectorAll(
  'a[href], button, input, select, textarea, summary'
)].filter(e => {
  const box = e.getBoundingClientRect();
  return box.width > 0 && box.height > 0 && !e.disabled && e.type !== 'hidden' && e.type !== 'radio'
    && e.checkVisibility({visibilityProperty: true}) && !e.closest('[inert]')
    && ![...window.__stops.keys()].some(stop => window.__named(stop) === window.__named(e));
}).map(window.__named)"""
# Rules whose findings are never serious do not run; they take a third of axe's time.
_AXE = """(() => axe.run(document, {
  rules: Object.fromEntries(axe._audit.rules.filter(r => ['minor', 'moderate'].includes(r.impact))
    .map(r => [r.id, {enabled: false}])),
  resultTypes: ['violations'],
}).then(r => r.violations.map(v => ({
  id: v.id, impact: v.impact, help: v.help,
  nodes: v.nodes.slice(0, 3).map(n => n.html.slice(0, 160) + ' - ' +
    [...n.any, ...n.all, ...n.none].map(c => c.message).join('; ').slice(0, 160))})))) ()"""


class UnreadableError(AssertionError):
    """A page is not what every page must be; the text holds all findings."""


class Variant(NamedTuple):
    """One way to look at a page.

    :param theme: light or dark.
    :param chosen: whether the person chose the theme in Airflow; otherwise the system has it.
    """

    language: str
    theme: str
    width: int
    chosen: bool = True

    def __str__(self) -> str:
        return f"{self.language}-{self.theme}-{self.width}"


def variants_of(name: str) -> tuple[Variant, ...]:
    """Every variant, in an order that loads the page once for each language.

    The name of the page decides with which theme a language begins: on a phone in Indonesian, whose texts are
    longer, and on a desk in the other theme in English.
    """
    themes = ("light", "dark") if crc32(name.encode()) % 2 else ("dark", "light")
    first = ((themes, (PHONE, DESK)), (themes[::-1], (DESK, PHONE)))
    return tuple(
        Variant(language, theme, width, chosen=width == DESK)
        for language, ((one, other), (here, there)) in zip(("id", "en"), first, strict=True)
        for theme, width in ((one, here), (one, there), (other, there), (other, here))
    )


def read_everywhere(
    page: Page,
    url: str,
    *,
    folder: str | Path | None = None,
    name: str = "",
    status: int = 200,
    variants: tuple[Variant, ...] = (),
) -> None:
    """Read a page in each of the variants, by default those of :func:`variants_of`.

    The page is loaded once for each language; theme and width change while it is open, as a person changes
    them. Axe looks at the page when it was loaded, which by default is once in each theme.

    :param folder: for pictures ``name-language-theme-width.png``; by default that of SAT_TEST_PICTURES, and
        none without it.
    :param name: of the pictures; by default made of the address.
    :param status: the HTTP status that the page is expected to have.
    :raises UnreadableError: with everything that is wrong.
    """
    name = name or name_of(url)
    found: dict[str, list[str]] = {}
    wanted = itertools.groupby(variants or variants_of(name), lambda variant: variant.language)
    for looks in [list(group) for _, group in wanted]:
        open_as(page, url, looks[0])
        _look(page, looks, found, url, folder=folder, name=name, status=status)
    _raise(url, found)


def read_answer(page: Page, name: str) -> None:
    """Read the page that is open, which is the answer to a form, as :func:`read_everywhere` does.

    Each language is loaded by sending the form once more, so the form must only look. The page is in English
    and on a desk afterwards.

    :raises UnreadableError: with everything that is wrong.
    """
    found: dict[str, list[str]] = {}
    url = str(page.evaluate("location.href"))
    for language in ("id", "en"):
        page.set_cookie(url, "sat_language", language)
        page.events()
        page.command("Page.reload")
        page.wait_for(
            f"document.readyState === 'complete' && document.documentElement.lang === '{language}'", name
        )
        looks = [variant for variant in variants_of(name) if variant.language == language]
        look_as(page, looks[0])
        _look(page, looks, found, url, name=name)
    page.resize(DESK)
    _raise(name, found)


def _look(
    page: Page,
    looks: Sequence[Variant],
    found: dict[str, list[str]],
    url: str,
    *,
    folder: str | Path | None = None,
    name: str,
    status: int = 200,
) -> None:
    """Look at the page that is open in each theme and width, beginning with those it has."""
    folder = folder or os.environ.get(PICTURES_VARIABLE)
    for variant in looks:
        is_first = variant is looks[0]
        if not is_first:
            look_as(page, variant)
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.photograph(Path(folder) / f"{name}-{variant}.png", whole=True)
        for finding in itertools.chain(
            _of_its_text(page, variant) if is_first else (),
            _of_its_looks(page, variant),
            # Each language begins with its own theme, so axe sees the colours of both.
            _not_accessible(page) if is_first else (),
            # Where Tab goes depends on neither theme nor language.
            _not_by_keyboard(page) if is_first and variant.theme == "light" else (),
            _not_quiet(page, url, status),
        ):
            found.setdefault(finding, []).append(str(variant))


def _raise(of: str, found: Mapping[str, Sequence[str]]) -> None:
    if found:
        lines = (f"{finding}\n    in {', '.join(where)}" for finding, where in found.items())
        raise UnreadableError(f"{of} is not readable everywhere:\n  " + "\n  ".join(lines))


def open_as(page: Page, url: str, variant: Variant) -> None:
    """Open a page as a person with this language, theme and window sees it."""
    page.set_cookie(url, "sat_language", variant.language)
    origin = urlsplit(url)._replace(path="/favicon.ico", query="", fragment="").geturl()
    if not str(page.evaluate("location.href")).startswith(origin.removesuffix("favicon.ico")):
        page.open(origin)
    look_as(page, variant)
    page.follow("Log", "Runtime", "Network")
    page.events()
    page.open(url)


def look_as(page: Page, variant: Variant) -> None:
    """Give the page that is open a width and a theme. Airflow keeps the person's theme in the storage of its
    origin, and the event says that another page of it changed that.
    """
    page.resize(variant.width)
    other = "dark" if variant.theme == "light" else "light"
    page.prefer(other if variant.chosen else variant.theme)
    chosen = f"setItem('theme', '{variant.theme}')" if variant.chosen else "removeItem('theme')"
    page.evaluate(f"localStorage.{chosen}, dispatchEvent(new Event('storage')), undefined")


def _of_its_text(page: Page, variant: Variant) -> Iterator[str]:
    """What is wrong with a page whatever its theme and its width."""
    language = page.evaluate("document.documentElement.lang")
    if language != variant.language:
        yield f"html lang: found {language!r}; expected {variant.language!r}"
    if not page.evaluate("document.title.trim() && document.querySelectorAll('h1').length === 1"):
        yield "a title and exactly one h1 are expected"
    for heading in page.evaluate(_HEADINGS):
        if re.match(r"[A-Z2-7]{20}|[0-9a-f]{20}", heading):
            yield f"a heading begins with an internal id: {heading!r}"


def _of_its_looks(page: Page, variant: Variant) -> Iterator[str]:
    """What is wrong with a page in a theme and a width."""
    if not page.evaluate(_is_theme(variant.theme)):
        yield f"the page is not {variant.theme}"
    if wide := page.evaluate(_TOO_WIDE):
        yield f"the page is too wide: {wide}"
    for text in page.evaluate(_CUT):
        yield f"cut text: {text!r}"


def name_of(url: str) -> str:
    """The name of a page's pictures: its path, as a file name."""
    parts = urlsplit(url)
    path = f"{parts.path.partition('/console/')[2]}-{parts.query}"
    return re.sub(r"[^A-Za-z0-9]+", "-", path).strip("-")[:60] or "home"


def _is_theme(theme: str) -> str:
    """Whether the background is light or dark."""
    bounds = "sum > 600" if theme == "light" else "sum < 200"
    return (
        "(() => { const sum = getComputedStyle(document.body).backgroundColor.match(/[0-9.]+/g)"
        f".slice(0, 3).reduce((a, b) => a + Number(b), 0); return {bounds}; }})()"
    )


def _not_accessible(page: Page) -> Iterator[str]:
    """What axe finds serious."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(f"{AXE.read_text('utf-8')}\nundefined")
    for violation in page.evaluate(_AXE):
        if violation["impact"] in SERIOUS:
            yield f"axe {violation['id']} ({violation['impact']}): {violation['help']}: " + " | ".join(
                violation["nodes"]
            )


def _not_by_keyboard(page: Page) -> Iterator[str]:
    page.evaluate(_FOLLOW_FOCUS)
    for _ in range(MAXIMUM_TAB_STOPS // TABS_AT_ONCE):
        for _ in range(TABS_AT_ONCE):
            page.press("Tab")
        if page.evaluate(_IS_ROUND):
            break
    for stop in page.evaluate(_UNSEEN):
        yield f"the focus is not visible on {stop!r}"
    for control in page.evaluate(_UNREACHED):
        yield f"Tab does not reach {control!r}"


def _not_quiet(page: Page, url: str, status: int) -> Iterator[str]:
    """Errors of the console, violations of content security, requests that failed."""
    for name, event in page.events():
        match name:
            case "Log.entryAdded" if event["entry"]["level"] == "error":
                entry = event["entry"]
                asked = entry.get("url", "")
                known = (asked == url and status != 200) or _is_of_no_page(asked)
                if not (entry["source"] == "network" and known):
                    yield f"the browser reports ({entry['source']}): {entry['text']} {entry.get('url', '')}"
            case "Runtime.exceptionThrown":
                details = event["exceptionDetails"]
                yield f"a script failed: {details.get('exception', {}).get('description', details['text'])}"
            case "Runtime.consoleAPICalled" if event["type"] in ("error", "warning", "assert"):
                said = [str(a.get("value", a.get("description"))) for a in event["args"]]
                yield f"console.{event['type']}: {' '.join(said)}"
            case "Network.responseReceived":
                response = event["response"]
                expected = status if response["url"] == url else 200
                is_fine = response["status"] in (expected, 304) or response["status"] < 300
                if not is_fine and not _is_of_no_page(response["url"]):
                    yield f"{response['url']} answered {response['status']}; expected {expected}"
            case "Network.loadingFailed" if not event.get("canceled"):
                yield f"a request failed: {event['errorText']} ({event['type']})"


def _is_of_no_page(url: str) -> bool:
    """The browser asks for the icon of the address where the theme was chosen, whenever it likes."""
    return urlsplit(url).path == "/favicon.ico"

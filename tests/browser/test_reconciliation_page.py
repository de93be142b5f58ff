"""The page of a closed day in a real browser: readable in light and dark, on a desk and on a phone.

Skipped where no Chromium is installed, but never in CI. ``SAT_TEST_CHROMIUM`` names one not on the path.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sat_hook.domain.order import OrderState
from sat_hook.reconciliation.report import write_report
from tests.browser.chromium import Page, needs_chromium
from tests.reconciliation_days import closed_day

pytestmark = needs_chromium

LEAST_CONTRAST = 4.5
LEAST_CONTRAST_OF_BARS = 1.7
"""Of a bar against the page; the youngest age is faint, and carries its figure."""

# Relative luminance and contrast as WCAG 2 defines them, of colours as the browser computed them.
_CONTRAST = """
const light = c => {
  const [r, g, b] = c.match(/[0-9.]+/g).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (a, b) => {
  const [high, low] = [light(a), light(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
};
const page = getComputedStyle(document.body).backgroundColor;
"""
_FAINT_TEXT = f"""(() => {{ {_CONTRAST}
  const faint = [];
  for (const e of document.querySelectorAll('main *')) {{
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || e.closest('title')) continue;
    const style = getComputedStyle(e);
    const ink = e.ownerSVGElement ? style.fill : style.color;
    if (contrast(ink, page) < {LEAST_CONTRAST}) faint.push(e.textContent + ' ' + ink);
  }}
  return faint;
}})()"""
_FAINT_BARS = f"""(() => {{ {_CONTRAST}
  return [...document.querySelectorAll('svg rect')]
    .map(e => getComputedStyle(e).fill)
    .filter(colour => contrast(colour, page) < {LEAST_CONTRAST_OF_BARS});
}})()"""
# Words that leave their chart, or that lie on other words or on another line's bar.
_COLLISIONS = """(() => {
  const found = [];
  for (const svg of document.querySelectorAll('svg')) {
    const area = svg.getBoundingClientRect();
    const words = [...svg.querySelectorAll('text')];
    const boxes = words.map(e => e.getBoundingClientRect());
    boxes.forEach((a, i) => {
      if (a.left < area.left - 1 || a.right > area.right + 1 || a.bottom > area.bottom + 1)
        found.push('outside: ' + words[i].textContent);
      boxes.slice(i + 1).forEach((b, j) => {
        if (a.left < b.right && b.left < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom)
          found.push(words[i].textContent + ' on ' + words[i + 1 + j].textContent);
      });
      for (const bar of svg.querySelectorAll('rect')) {
        const b = bar.getBoundingClientRect();
        if (a.left < b.right && b.left < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom)
          found.push(words[i].textContent + ' on a bar');
      }
    });
  }
  return found;
})()"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page with everything in it: many products with long names, every state, large and negative saldos."""
    close = closed_day(600)
    assert close.saldo is not None
    orders = close.orders.copy()
    numbers = np.arange(len(orders))
    names = np.array([f"{number}k-a-rather-long-product-name-{number}" for number in range(14)])
    orders["product_code"] = pd.Categorical(names[numbers % 14])
    orders["state"] = pd.Categorical(np.array([state.value for state in OrderState])[numbers % 11])
    orders["charged_rupiah"] *= np.int64(987_654)
    breaks = tuple(
        replace(item, break_id=f"K{turn:03d}{item.break_id}", amount_rupiah=-item.amount_rupiah * 99_999)
        for turn in range(5)
        for item in close.breaks
    )
    saldo = replace(
        close.saldo, closing=replace(close.saldo.closing, saldo_rupiah=-1_234_567_890_123), top_ups_rupiah=5
    )
    folder = tmp_path_factory.mktemp("report")
    files = write_report(replace(close, orders=orders, breaks=breaks, saldo=saldo), folder)
    return Path(files[1].path).as_uri()


@pytest.fixture(scope="module", params=[1200, 420], ids=["desk", "phone"])
def shown(request: pytest.FixtureRequest, page: Page, address: str) -> Page:
    """The page in a browser of some width, in pixels."""
    page.command(
        "Emulation.setDeviceMetricsOverride",
        width=request.param,
        height=1600,
        deviceScaleFactor=1,
        mobile=False,
    )
    page.open(address)
    return page


def look(page: Page, mode: str) -> None:
    """Have the reader prefer light or dark."""
    page.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": mode}])


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_everything_can_be_read(shown: Page, mode: str) -> None:
    """Every text stands out from its background, every bar from the page."""
    look(shown, mode)
    background = shown.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(252, 252, 251)") == (mode == "light")
    assert shown.evaluate("document.querySelectorAll('svg').length") == 5
    assert shown.evaluate(_FAINT_TEXT) == []
    assert shown.evaluate(_FAINT_BARS) == []


def test_nothing_lies_on_anything(shown: Page) -> None:
    """Labels, figures and bars of the charts have their own places; the page is as wide as the window."""
    assert shown.evaluate(_COLLISIONS) == []
    assert shown.evaluate("document.documentElement.scrollWidth <= window.innerWidth")

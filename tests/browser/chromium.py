"""A headless Chromium, driven through its own DevTools protocol: no driver program, no further library.

Clicks and keys go in as a person's do, through the browser's input queue; scripts only look.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import requests
from websockets.sync.client import ClientConnection, connect

START_SECONDS = 60.0
WAIT_SECONDS = 90.0
MAXIMUM_EVENTS = 10_000
PHONE_WIDTH = 600
"""Below this width a page is shown as on a phone."""
KEYS = {
    "Enter": 13,
    "Escape": 27,
    "Tab": 9,
    " ": 32,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "Home": 36,
    "End": 35,
    "a": 65,
    "v": 86,
}
COMMANDS = {"a": "selectAll", "v": "paste"}
"""What these keys do with Ctrl."""
TEXT_OF_KEYS = {"Enter": "\r", " ": " "}
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""The first draws the same pages without the window of a whole browser around them."""

# Text and attributes that a person finds an element by. Invisible elements do not count.
_FIND = """
(wanted, selector) => [...document.querySelectorAll(selector)].filter(e => {
  const box = e.getBoundingClientRect();
  const text = (e.innerText || e.value || e.getAttribute('aria-label') || '').trim();
  return box.width > 0 && box.height > 0 && (wanted === null || text === wanted);
})
"""

# False while htmx waits for an answer. Asked in a task of its own: a form is submitted after the click.
_IS_QUIET = "new Promise(done => setTimeout(() => done(!document.querySelector('.htmx-request'))))"


class BrowserError(AssertionError):
    """The page does not show what it should."""


def chromium_path() -> str | None:
    """The browser of this machine (``SAT_TEST_CHROMIUM``, or the first known name), or None."""
    named = os.environ.get("SAT_TEST_CHROMIUM")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


needs_chromium = pytest.mark.skipif(
    chromium_path() is None and "CI" not in os.environ, reason="no Chromium on this machine"
)
"""Tests of pages are skipped on a developer's machine without a browser; in CI its absence fails them."""


class Page:
    """One tab."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._ids = itertools.count(1)
        self._events: deque[tuple[str, dict[str, Any]]] = deque(maxlen=MAXIMUM_EVENTS)
        self._loading: set[str] = set()
        self.command("Page.enable")

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One DevTools command; raises BrowserError with the browser's own words when it is refused."""
        number = next(self._ids)
        self._connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._connection.recv(timeout=WAIT_SECONDS))
            if message.get("id") == number:
                if "error" in message:
                    raise BrowserError(f"{method}: {message['error']['message']}")
                result: dict[str, Any] = message["result"]
                return result
            if "method" in message:
                self._hear(message["method"], message["params"])

    def _hear(self, name: str, content: dict[str, Any]) -> None:
        match name:
            case "Page.frameStartedLoading":
                self._loading.add(content["frameId"])
            case "Page.frameStoppedLoading" | "Page.frameDetached":
                self._loading.discard(content["frameId"])
        self._events.append((name, content))

    def follow(self, *domains: str) -> None:
        """From now on keep the events of these DevTools domains."""
        for domain in domains:
            self.command(f"{domain}.enable")

    def events(self) -> list[tuple[str, dict[str, Any]]]:
        """Name and content of the events since the last call."""
        self.evaluate("0")  # what was sent before its answer has come
        events = list(self._events)
        self._events.clear()
        return events

    def wait_for_event(self, name: str, seconds: float = WAIT_SECONDS) -> dict[str, Any]:
        """The content of the next event of a name; its domain must be followed."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for found, content in self.events():
                if found == name:
                    return content
            time.sleep(0.05)
        raise BrowserError(f"after {seconds:.0f} seconds there is no event {name}")

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, promises awaited."""
        result = self.command(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in result:
            raise BrowserError(result["exceptionDetails"].get("exception", {}).get("description", expression))
        return result["result"].get("value")

    def wait_for(self, expression: str, what: str, seconds: float = WAIT_SECONDS) -> Any:
        """The first true value of an expression. A page that is being replaced or loaded has none yet."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                value = self.evaluate(expression)
            except BrowserError:
                value = None
            if value and not self._loading:
                return value
            if time.monotonic() > deadline:
                raise BrowserError(f"after {seconds:.0f} seconds there is no {what}; {self.text()[:2000]!r}")
            time.sleep(0.04)

    def open(self, url: str) -> None:
        """Go to a page and wait until it is loaded."""
        self.command("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete'", f"page at {url}")

    def wait_for_text(self, text: str) -> None:
        """Until a person can read it."""
        self.wait_for(f"document.body.innerText.includes({json.dumps(text)})", f"text {text!r}")

    def text(self) -> str:
        """What a person can read."""
        text: str = self.evaluate("document.body.innerText") or ""
        return text

    def click(self, selector: str, text: str | None = None) -> None:
        """Click the first visible element of a CSS selector, by its text when that is given.

        Returns when the page that the click asked for is loaded, or htmx has its answer.
        """
        found = f"({_FIND})({json.dumps(text)}, {json.dumps(selector)})[0]"
        self.wait_for(f"{found} && !{found}.disabled", f"{selector} {text or ''}".strip())
        place = (
            f"(e => {{ e.scrollIntoView({{block: 'center'}}); const b = e.getBoundingClientRect();"
            f" return [b.x + b.width / 2, b.y + b.height / 2]; }})({found})"
        )
        what = f"place of {selector}"
        before, (x, y) = None, self.wait_for(place, what)
        while before != (x, y):  # what still slides is missed
            time.sleep(0.04)
            before, (x, y) = (x, y), self.wait_for(place, what)
        for kind in ("mousePressed", "mouseReleased"):
            self.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        self.wait_for(_IS_QUIET, f"answer to the click on {selector}")

    def write(self, selector: str, text: str) -> None:
        """Replace what stands in a field by typing."""
        self.click(selector)
        self.press("a", modifiers=2)
        self.command("Input.insertText", text=text)

    def press(self, key: str, modifiers: int = 0) -> None:
        """One key; ``modifiers`` 2 is Ctrl, 8 is Shift. Enter and the space bar wait as a click does."""
        code = KEYS[key]
        commands = [COMMANDS[key]] if modifiers == 2 and key in COMMANDS else []
        for kind in ("keyDown", "keyUp"):
            self.command(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code="Space" if key == " " else f"Key{key.upper()}" if len(key) == 1 else key,
                windowsVirtualKeyCode=code,
                modifiers=modifiers,
                commands=commands if kind == "keyDown" else [],
                **({"text": TEXT_OF_KEYS[key]} if key in TEXT_OF_KEYS and kind == "keyDown" else {}),
            )
        if key in TEXT_OF_KEYS:
            self.wait_for(_IS_QUIET, f"answer to {key!r}")

    def type(self, text: str) -> None:
        """Text into whatever has the focus."""
        self.command("Input.insertText", text=text)

    def tab_to(self, selector: str, limit: int = 200) -> None:
        """Press Tab until an element of a selector has the focus; raises BrowserError after ``limit``."""
        for _ in range(limit):
            self.press("Tab")
            if self.evaluate(f"document.activeElement?.matches({json.dumps(selector)}) ?? false"):
                return
        raise BrowserError(f"Tab does not reach {selector}")

    def drop(self, x: float, y: float, *files: Path) -> None:
        """Drag files from the desktop onto a place of the page, and let them go."""
        data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.command("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def paste(self, text: str, html: str) -> None:
        """Press Ctrl+V with what a spreadsheet puts on the clipboard."""
        origin = self.evaluate("location.origin")
        allowed = ["clipboardReadWrite", "clipboardSanitizedWrite"]
        self.command("Browser.grantPermissions", permissions=allowed, origin=origin)
        kinds = ", ".join(
            f"{json.dumps(kind)}: new Blob([{json.dumps(content)}], {{type: {json.dumps(kind)}}})"
            for kind, content in (("text/plain", text), ("text/html", html))
        )
        self.evaluate(f"navigator.clipboard.write([new ClipboardItem({{{kinds}}})])")
        self.press("v", modifiers=2)

    def upload(self, selector: str, *files: Path) -> None:
        """Choose files in a file input."""
        self.wait_for(f"document.querySelector({json.dumps(selector)}) !== null", selector)
        root = self.command("DOM.getDocument", depth=0)["root"]["nodeId"]
        node = self.command("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.command("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def resize(self, width: int, height: int = 900) -> None:
        """Give the page a size in CSS pixels; below PHONE_WIDTH it is shown as on a phone."""
        is_phone = width < PHONE_WIDTH
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=is_phone,
        )
        self.command("Emulation.setTouchEmulationEnabled", enabled=is_phone)

    def prefer(self, theme: str) -> None:
        """The system's theme from now on: light or dark."""
        features = [
            {"name": "prefers-color-scheme", "value": theme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.command("Emulation.setEmulatedMedia", features=features)

    def photograph(self, path: Path, *, whole: bool = False) -> None:
        """The page as PNG: its visible part, or all of it."""
        shot = self.command("Page.captureScreenshot", captureBeyondViewport=whole, **self._clip(whole))
        path.write_bytes(base64.b64decode(shot["data"]))

    def _clip(self, whole: bool) -> dict[str, Any]:
        if not whole:
            return {}
        # A picture of the whole page has no room for a scroll bar.
        self.command("Emulation.setScrollbarsHidden", hidden=True)
        size = self.command("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}

    def forget(self) -> None:
        """Be as when the browser started: no page, cookie, size, theme or place for downloads."""
        self.open("about:blank")
        self.command("Network.clearBrowserCookies")
        self.command("Emulation.clearDeviceMetricsOverride")
        self.command("Emulation.setTouchEmulationEnabled", enabled=False)
        self.command("Emulation.setEmulatedMedia", features=[])
        self.command("Browser.setDownloadBehavior", behavior="default")
        self.events()

    def set_cookie(self, url: str, name: str, value: str) -> None:
        """A cookie as the server would set it."""
        self.command("Network.setCookie", url=url, name=name, value=value)


@contextmanager
def browser(path: str, width: int = 1280, height: int = 1600) -> Iterator[Page]:
    """A browser with a fresh profile and one tab."""
    with tempfile.TemporaryDirectory(prefix="sat-browser-", ignore_cleanup_errors=True) as profile:
        command = [
            path,
            "--headless=new",
            "--no-sandbox",  # Chromium refuses to run as root with it; the pages are our own
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--no-proxy-server",
            "--remote-debugging-port=0",
            f"--window-size={width},{height}",
            f"--user-data-dir={profile}",
            "about:blank",
        ]
        # A group of its own: the named program may be a script that only starts the browser.
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        ) as process:
            try:
                # Keepalive pings draw from the global random generator in a thread of their own;
                # Hypothesis then blames the strategies of tests that run meanwhile.
                with connect(
                    _address(Path(profile), process), max_size=None, proxy=None, ping_interval=None
                ) as connection:
                    yield Page(connection)
            finally:
                # One that ended by itself has no group left.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)


def _address(profile: Path, process: subprocess.Popen[bytes]) -> str:
    """The tab's own DevTools address, once the browser has written its port."""
    deadline = time.monotonic() + START_SECONDS
    file = profile / "DevToolsActivePort"
    while time.monotonic() < deadline and process.poll() is None:
        lines = file.read_text().splitlines() if file.exists() else []
        if len(lines) == 2:
            listed = requests.get(f"http://127.0.0.1:{lines[0]}/json/list", timeout=START_SECONDS).json()
            tabs = [tab for tab in listed if tab["type"] == "page"]
            if tabs:
                address: str = tabs[0]["webSocketDebuggerUrl"]
                return address
        time.sleep(0.05)
    raise BrowserError("the browser did not start")

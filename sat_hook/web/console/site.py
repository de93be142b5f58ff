"""What all pages share: the layout, the person's language, security headers, files, and errors as pages."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from http import HTTPStatus
from importlib.resources import files
from itertools import groupby
from operator import attrgetter
from typing import Annotated, Any, NamedTuple
from urllib.parse import quote, urlencode

import jinja2
from fastapi import Depends, FastAPI
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.requests import Request
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from sat_hook.application.errors import RightMissingError
from sat_hook.application.rights import BOOK_READERS, Person, Right
from sat_hook.presentation import chart_style
from sat_hook.presentation.charts import sparkline
from sat_hook.presentation.templates import templates_of
from sat_hook.web.console.error_words import Explained, explained
from sat_hook.web.console.language import OWN_NAMES, Language, Wording, wording_of
from sat_hook.web.console.language import marked as _
from sat_hook.web.console.words import ALERTS, right_names
from sat_hook.web.dependencies import SignInsDep, current_person, session_of
from sat_hook.web.errors import INVALID_REQUEST

PREFIX = "/console"
PATH_MARKS = "/:@!$&'()*+,;=~"
"""What stands in a path as it is (RFC 3986)."""
HTMX = "htmx-2.0.11.min.js"
CHART_STYLE = "charts.css"
HOUR_SECONDS = 3600
YEAR_SECONDS = 365 * 24 * HOUR_SECONDS

HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
    ),
}
"""The pages' content security: only the console's own files run, and only own pages frame it."""


class NavigationItem(NamedTuple):
    """An entry of the navigation.

    :param rights: one of them is needed to see it.
    :param group: the heading of the entries around it; empty for those of daily operations.
    """

    path: str
    title: str
    rights: tuple[Right, ...]
    group: str = ""


NAVIGATION = (
    NavigationItem("/", _("Needs you"), (Right.VIEW,)),
    NavigationItem("/new", _("New batch"), (Right.SUBMIT,)),
    NavigationItem("/batches", _("Batches"), (Right.VIEW,)),
    NavigationItem("/orders", _("Orders"), (Right.VIEW,)),
    NavigationItem("/approvals", _("Approvals"), (Right.VIEW,)),
    NavigationItem("/deliveries", _("Deliveries"), (Right.DELIVER,)),
    NavigationItem("/products", _("Products"), (Right.VIEW,)),
    NavigationItem("/accounts", _("Accounts"), (Right.VIEW,)),
    NavigationItem("/notifications", _("Notifications"), (Right.VIEW,)),
    NavigationItem("/days", _("Days"), BOOK_READERS, _("Finance")),
    NavigationItem("/breaks", _("Breaks"), BOOK_READERS, _("Finance")),
    NavigationItem("/settlements", _("Settlement files"), BOOK_READERS, _("Finance")),
    NavigationItem("/topups", _("Top-ups"), BOOK_READERS, _("Finance")),
    NavigationItem("/prices", _("Prices"), (Right.VIEW,), _("Finance")),
    NavigationItem("/audit", _("Log and evidence"), (Right.AUDIT,), _("Audit")),
)


@dataclass(frozen=True, slots=True)
class Site:
    """The console for one request: its person, language and addresses."""

    request: Request
    person: Person
    wording: Wording

    def url(self, path: str, **query: object) -> str:
        """The address of a page of the mounted console.

        :param path: with names as they are, for example of an account; they are quoted here.
        :param query: None and empty values are left out.
        """
        given = [(name, value) for name, value in query.items() if value is not None and value != ""]
        tail = f"?{urlencode(given, doseq=True)}" if given else ""
        return f"{self.request.scope.get('root_path', '')}{PREFIX}{quote(path, safe=PATH_MARKS)}{tail}"

    def page(self, template: str, status: int = 200, **context: Any) -> HTMLResponse:
        """Render a page, or a part of one when the template is a part."""
        html = self._template(template).render(self._context(context))
        return HTMLResponse(html, status, headers=HEADERS)

    def _template(self, name: str) -> jinja2.Template:
        return environment_of(self.wording.language).get_template(f"{name}.html.jinja")

    def _context(self, context: dict[str, Any]) -> dict[str, Any]:
        return {
            "site": self,
            "person": self.person,
            "navigation": _groups_for(self.person),
            "here": self.request.url.path,
            "now": datetime.now(UTC),
            **context,
        }

    def go(self, path: str, **query: object) -> Response:
        """Send the browser to another page after a form."""
        return go_to(self.request, self.url(path, **query))

    @property
    def is_part(self) -> bool:
        """Whether only a part of the page is asked for."""
        return self.request.headers.get("hx-request") == "true"

    @property
    def languages(self) -> list[tuple[str, str, bool]]:
        """The languages: code, own name, and whether it is the present one."""
        return [(code.value, OWN_NAMES[code], code is self.wording.language) for code in Language]

    def airflow_url(self, path: str) -> str:
        """The address of one of Airflow's own pages."""
        # Airflow is one level above the place where the app is mounted.
        return f"{self.request.scope.get('root_path', '').removesuffix('/sat')}{path}"

    @property
    def right(self) -> type[Right]:
        """The rights, for templates."""
        return Right


def _groups_for(person: Person) -> list[tuple[str, list[NavigationItem]]]:
    """The entries that a person sees, by their heading."""
    seen = [item for item in NAVIGATION if person.rights.intersection(item.rights)]
    return [(heading, list(items)) for heading, items in groupby(seen, attrgetter("group"))]


def go_to(request: Request, address: str) -> Response:
    """Send the browser to an address: by htmx's header when htmx asks."""
    if request.headers.get("hx-request") == "true":
        return Response(status_code=204, headers={"HX-Redirect": address})
    return RedirectResponse(address, 303)


def site_of(
    request: Request, person: Annotated[Person, Depends(current_person)], sign_ins: SignInsDep
) -> Site:
    """The console for a request. The first one of each login is recorded."""
    sign_ins.notice(person, session_of(request))
    return Site(request, person, wording_of(request))


SiteDep = Annotated[Site, Depends(site_of)]


class OwnFiles(StaticFiles):
    """The console's scripts, styles and images. A version in the address lets browsers keep them."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        if path != CHART_STYLE:
            return await super().get_response(path, scope)
        return _kept(Response(chart_style.STYLE, media_type="text/css"), scope)

    def file_response(
        self, full_path: Any, stat_result: Any, scope: Scope, status_code: int = 200
    ) -> Response:
        return _kept(super().file_response(full_path, stat_result, scope, status_code), scope)


def _kept(response: Response, scope: Scope) -> Response:
    is_versioned = b"v=" in scope["query_string"] or HTMX in scope["path"]
    response.headers["Cache-Control"] = f"public, max-age={YEAR_SECONDS if is_versioned else HOUR_SECONDS}"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def mount_files(app: FastAPI) -> None:
    """Serve the console's own files; they need no user."""
    app.mount(f"{PREFIX}/static", OwnFiles(packages=[(__package__, "static")]), "console-static")


def is_page(request: Request) -> bool:
    """Whether a request is for a page of the console."""
    path = request.url.path.removeprefix(request.scope.get("root_path", ""))
    return path == PREFIX or path.startswith(f"{PREFIX}/")


def show_errors_as_pages(app: FastAPI) -> None:
    """Answer errors of the console's routes with pages, and those of other routes as before."""
    for error_type, handler in list(app.exception_handlers.items()):
        app.add_exception_handler(error_type, _as_page(handler))


def _as_page(handler: Callable[..., Any]) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, error: Exception) -> Response:
        answered = handler(request, error)
        response: Response = await answered if inspect.isawaitable(answered) else answered
        if not is_page(request):
            return response
        if response.status_code == 401:
            # The login leads back to the page.
            return go_to(request, _login_address(request))
        return _error_page(request, error, response)

    return answer


def _error_page(request: Request, error: Exception, answered: Response) -> Response:
    wording = wording_of(request)
    site = Site(request, Person("", frozenset()), wording)
    return site.page(
        "error",
        answered.status_code,
        error_title=_title(answered.status_code, wording),
        error=_explained(error, answered, wording),
    )


def _explained(error: Exception, answered: Response, wording: Wording) -> Explained:
    if isinstance(error, RightMissingError):
        said = wording.text(
            _("You lack the right %(right)s. The person who manages rights can give it to you.")
        )
        return Explained(said % {"right": right_names(" / ".join(error.rights), wording)}, "")
    if (known := explained(error, wording)) is not None:
        return known
    found: dict[str, str] = {}
    with suppress(ValueError):
        found = json.loads(bytes(answered.body))
    detail = found.get("detail", "")
    if found.get("type") == INVALID_REQUEST:
        return Explained(wording.text(_("The address or the form is incomplete.")), detail)
    if not detail or detail == HTTPStatus(answered.status_code).phrase:
        return Explained("", "")  # the title says it
    return Explained(wording.text(_("Look at it again, or ask an administrator.")), detail)


def _login_address(request: Request) -> str:
    # Airflow is one level above the place where the app is mounted.
    base = request.scope.get("root_path", "").removesuffix("/sat")
    back = request.headers.get("hx-current-url") if request.method != "GET" else None
    return f"{base}/api/v2/auth/login?next={quote(back or str(request.url), safe='')}"


def _title(status: int, wording: Wording) -> str:
    titles = {
        403: _("You may not do this"),
        404: _("There is no such page"),
        409: _("This is not possible now"),
        413: _("This is too large"),
        422: _("This cannot be used"),
        502: _("SAT did not answer"),
        503: _("A database is away"),
    }
    return wording.text(titles.get(status) or _("Something went wrong"))


@cache
def environment_of(language: Language) -> jinja2.Environment:
    """The templates with the texts and figures of a language."""
    wording = Wording(language)
    environment = templates_of("sat_hook.web.console")
    environment.globals.update(
        {
            "_": wording.text,
            "ngettext": wording.count,
            "language": language.value,
            "htmx": HTMX,
            "alert_words": ALERTS,
            "sparkline": sparkline,
            "version": _version(),
        }
    )
    environment.filters.update(
        {
            "rupiah": wording.rupiah,
            "number": wording.number,
            "percent": wording.percent,
            "change": wording.change,
            "wib": wording.time,
            "exact": wording.exact,
            "recorded": wording.recorded,
            "clock": wording.clock,
            "day": wording.day,
            "weekday": wording.weekday,
            "month": wording.month,
            "duration": wording.duration,
            "right": partial(right_names, wording=wording),
        }
    )
    environment.filters["ago"] = wording.ago
    return environment


@cache
def _version() -> str:
    """Changes with the content of the console's own files, so that browsers fetch a new one."""
    digest = hashlib.sha256(chart_style.STYLE.encode())
    for name in ("console.css", "console.js"):
        digest.update(files(__package__).joinpath("static", name).read_bytes())
    return digest.hexdigest()[:12]

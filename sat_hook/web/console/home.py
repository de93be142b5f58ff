"""The first page, and the choice of language."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from sat_hook.application.rights import Right
from sat_hook.web.console.language import COOKIE, Language
from sat_hook.web.console.site import SiteDep, go_to

YEAR_SECONDS = 365 * 24 * 3600

router = APIRouter()


@router.get("/")
def home(site: SiteDep) -> Response:
    """What waits for people, the deposits, and today's batches."""
    site.person.require(Right.VIEW)
    return site.page("home")


@router.post("/language")
def choose_language(request: Request, site: SiteDep, language: Annotated[Language, Form()]) -> Response:
    """Keep the person's language, and show the page that they come from in it."""
    came_from = urlsplit(request.headers.get("referer", ""))
    own = site.url("/")
    back = came_from._replace(scheme="", netloc="").geturl() if came_from.path.startswith(own) else own
    answer = go_to(request, back)
    answer.set_cookie(COOKIE, language.value, max_age=YEAR_SECONDS, samesite="lax", httponly=True, path=own)
    return answer

"""The language of a request: the one that the person chose, or that the browser asks for."""

from __future__ import annotations

from starlette.requests import Request

from sat_hook.presentation.language import OWN_NAMES, Language, Wording, catalogs_of, marked

__all__ = ["COOKIE", "OWN_NAMES", "Language", "Wording", "catalogs_of", "marked", "wording_of"]

COOKIE = "sat_language"


def wording_of(request: Request) -> Wording:
    """The language that the person chose, else the browser's first that the console has, else Indonesian."""
    wanted = [request.cookies.get(COOKIE, "")]
    wanted += [part.partition(";")[0] for part in request.headers.get("accept-language", "").split(",")]
    for tag in wanted:
        code = tag.strip().lower().partition("-")[0]
        if code in list(Language):
            return Wording(Language(code))
    return Wording(Language.INDONESIAN)

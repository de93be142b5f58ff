"""What the API's description says of each route: its right, and how it refuses."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from pydantic import BaseModel, Field

from sat_hook.application.rights import Right
from sat_hook.web.dependencies import CurrentPerson
from sat_hook.web.errors import PROBLEM_MEDIA_TYPE

RIGHTS_MEMBER = "x-sat-rights"


class Problem(BaseModel):
    """An error (RFC 9457). Programs go by ``type`` and ``status``; ``detail`` is for people."""

    type: str = Field(description="the kind of error, one word that never changes")
    title: str
    status: int
    detail: str = Field(description="what was found and what was expected")


_PROBLEMS = {
    400: "the body cannot be read",
    401: "no user, or a token that is not valid any more",
    403: "the user lacks the right, or the request came from another site",
    404: "there is no such thing",
    409: "not possible in the present state",
    413: "the body is too large",
    422: "something in the request cannot be used",
    502: "SAT, or Airflow, did not answer or refused",
    503: "a database cannot be reached, so nothing was done",
}


def route(*rights: Right, files: str | None = None) -> dict[str, Any]:
    """The description of a route that needs one of these rights.

    :param files: the media type of its answer, if that is a file.
    """
    needed = " or ".join(f"`{right}`" for right in rights)
    responses: dict[int | str, dict[str, Any]] = {
        status: {
            "description": f"{text}; needs {needed}" if status == 403 else text,
            "content": {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, text in _PROBLEMS.items()
    }
    if files is not None:
        content = {media: {"schema": {"type": "string", "format": "binary"}} for media in files.split()}
        responses[200] = {"description": "the file", "content": content}
    return {"responses": responses, "openapi_extra": {RIGHTS_MEMBER: [right.value for right in rights]}}


def describe_api(app: FastAPI) -> None:
    """Serve the description of the API at ``/v1/openapi.json``, to users."""

    @app.get("/v1/openapi.json", include_in_schema=False)
    def description(request: Request, _: CurrentPerson) -> dict[str, Any]:
        document = app.openapi()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.setdefault("Problem", Problem.model_json_schema())
        return {**document, "servers": [{"url": request.scope.get("root_path") or "/"}]}

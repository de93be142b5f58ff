"""Rights by name: given to users and roles in a file, and to nobody without one."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import HTTPException

with warnings.catch_warnings():
    # Airflow's API server imports what its own libraries call outdated.
    warnings.simplefilter("ignore")
    from sat_hook.hooks.rights import (
        Right,
        RightsFileError,
        has_right,
        requires_right,
        rights_from_environment,
    )

GIVEN = {
    "account_rules.propose": {"users": ["Rosa"], "roles": ["Finance"]},
    "account_rules.confirm": {"users": ["carl"]},
}


def user(name: str, **more: Any) -> Any:
    """A user of Airflow."""
    return SimpleNamespace(get_name=lambda: name, **more)


def written(folder: Path, content: object, mode: int = 0o600) -> dict[str, str]:
    """An environment that names a file with that content."""
    path = folder / "rights.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    path.chmod(mode)
    return {"SAT_RIGHTS_FILE": str(path)}


@pytest.mark.parametrize(
    ("who", "may"),
    [
        (user("rosa"), True),
        (user("ＲＯＳＡ "), True),
        (user("rosana"), False),
        (user("alice", role="finance"), True),
        (user("alice", roles=[SimpleNamespace(name="Viewer"), SimpleNamespace(name="Finance")]), True),
        (user("alice", role="user", roles=None), False),
        (user(""), False),
    ],
)
def test_a_right_is_a_name_s_or_a_role_s(tmp_path: Path, who: Any, may: bool) -> None:
    """Names are compared as everywhere; roles are those that Airflow gave, one or several."""
    rights = rights_from_environment(written(tmp_path, GIVEN))
    assert has_right(who, Right.PROPOSE_RULES, rights) is may


def test_nobody_has_what_is_not_given(tmp_path: Path) -> None:
    """No variable, an empty file of rights, another right: nobody, administrators included."""
    admin = user("admin", role="ADMIN")
    for environment in ({}, {"SAT_RIGHTS_FILE": " "}, written(tmp_path, {})):
        assert not has_right(admin, Right.CONFIRM_RULES, rights_from_environment(environment))
    rights = rights_from_environment(written(tmp_path, GIVEN))
    assert not has_right(user("rosa"), Right.CONFIRM_RULES, rights)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "no JSON object"),
        ("[]", "dict"),
        ('{"account_rules.propos": {}}', "did you mean account_rules.propose"),
        ('{"account_rules.propose": {"user": ["rosa"]}}', "Extra inputs"),
        ('{"account_rules.propose": {"users": "rosa"}}', "tuple"),
        ('{"account_rules.propose": {"users": [1]}}', "string"),
        ('{"account_rules.propose": {}, "account_rules.propose": {"users": ["eve"]}}', "written twice"),
        ('{"account_rules.propose": {"users": ["eve"], "users": ["rosa"]}}', "written twice"),
        ("\udcff".encode("utf-8", "surrogateescape").decode("latin-1"), "no JSON object"),
    ],
)
def test_a_file_that_cannot_be_used_gives_nothing(tmp_path: Path, content: str, text: str) -> None:
    """Nobody has any right meanwhile, and the text says what is wrong."""
    with pytest.raises(RightsFileError, match=text):
        rights_from_environment(written(tmp_path, content))


def test_a_file_that_others_can_write_gives_nothing(tmp_path: Path) -> None:
    """Otherwise they would give themselves what they want."""
    with pytest.raises(RightsFileError, match="chmod go-w"):
        rights_from_environment(written(tmp_path, GIVEN, 0o666))
    with pytest.raises(RightsFileError, match="No such file"):
        rights_from_environment({"SAT_RIGHTS_FILE": str(tmp_path / "nowhere.json")})


def test_a_route_says_which_right_is_lacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """403 with the right's name; one of several is enough."""
    monkeypatch.setenv("SAT_RIGHTS_FILE", written(tmp_path, GIVEN)["SAT_RIGHTS_FILE"])
    with pytest.raises(HTTPException, match=r"lacks the right account_rules\.confirm"):
        requires_right(Right.CONFIRM_RULES)(user("rosa"))
    requires_right(Right.PROPOSE_RULES, Right.CONFIRM_RULES)(user("rosa"))

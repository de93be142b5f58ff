"""Rights by name: given to users and roles in a file, with defaults that separate maker and checker."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from sat_hook.application.errors import RightsFileError
from sat_hook.application.rights import DEFAULTS, Right, rights_in, rights_of
from sat_hook.web.app import create_app
from tests.web_host import FakeHost, FakeUser, UntouchedError

GIVEN = {
    "account_rules.propose": {"users": ["Rosa"], "roles": ["Finance"]},
    "account_rules.confirm": {"users": ["carl"]},
}


def written(folder: Path, content: object, mode: int = 0o600) -> str:
    """The path of a file with that content."""
    path = folder / "rights.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize(
    ("who", "may"),
    [
        (FakeUser("rosa"), True),
        (FakeUser("ROSA"), True),
        (FakeUser("ＲＯＳＡ"), False),
        (FakeUser("rosa "), False),
        (FakeUser("ro\u200bsa"), False),
        (FakeUser("ro\u017fa"), False),
        (FakeUser("rosana"), False),
        (FakeUser("alice", roles=["finance"]), True),
        (FakeUser("alice", roles=["Viewer", "Finance"]), True),
        (FakeUser("alice", roles=["user"]), False),
        (FakeUser("alice", roles=["fin\u00adance"]), False),
        (FakeUser(""), False),
    ],
)
def test_a_right_is_a_name_s_or_a_role_s(tmp_path: Path, who: FakeUser, may: bool) -> None:
    """In any case of letters; a name that only looks like the holder's may belong to another person."""
    holders = rights_in(written(tmp_path, GIVEN))
    assert (Right.PROPOSE_RULES in rights_of(who.name, who.roles, holders)) is may


@pytest.mark.parametrize(
    ("role", "may", "may_not"),
    [
        ("Viewer", {Right.VIEW}, {Right.VIEW_NUMBERS, Right.SUBMIT, Right.PAUSE}),
        ("user", {Right.SUBMIT, Right.DELIVER}, {Right.APPROVE, Right.DECIDE, Right.FINANCE}),
        ("Op", {Right.APPROVE, Right.DECIDE, Right.SIGN_OFF}, {Right.SUBMIT, Right.DELIVER}),
        ("admin", {Right.SUBMIT, Right.APPROVE}, {Right.PROPOSE_RULES, Right.CONFIRM_RULES}),
        ("Disbursement", set(), set(Right)),
    ],
)
def test_without_a_file_makers_and_checkers_are_apart(
    role: str, may: set[Right], may_not: set[Right]
) -> None:
    """By Airflow's roles; an unknown role has no right, and no role changes the rules of an account."""
    rights = rights_of("rosa", [role], rights_in(""))
    assert may <= rights
    assert not may_not & rights


def test_a_right_that_the_file_names_has_no_other_holders(tmp_path: Path) -> None:
    """Administrators included; rights that it leaves out keep their defaults."""
    holders = rights_in(written(tmp_path, {"submit": {"users": ["rosa"]}, "approve": {}}))
    assert Right.SUBMIT in rights_of("rosa", [], holders)
    admin = rights_of("admin", ["admin"], holders)
    assert not {Right.SUBMIT, Right.APPROVE} & admin
    assert {right for right, default in DEFAULTS.items() if "admin" in default.roles} - admin == {
        Right.SUBMIT,
        Right.APPROVE,
    }


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
    """No user has any right meanwhile, and the text says what is wrong."""
    with pytest.raises(RightsFileError, match=text):
        rights_in(written(tmp_path, content))


def test_a_file_that_others_can_write_gives_nothing(tmp_path: Path) -> None:
    """Otherwise they would give themselves what they want."""
    with pytest.raises(RightsFileError, match="chmod go-w"):
        rights_in(written(tmp_path, GIVEN, 0o666))
    with pytest.raises(RightsFileError, match="No such file"):
        rights_in(str(tmp_path / "nowhere.json"))


async def test_a_route_says_which_right_is_lacking() -> None:
    """403 with the right's name; one of several is enough."""
    app = create_app(FakeHost(FakeUser("rosa", frozenset({Right.PROPOSE_RULES}))))
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://test", headers={"authorization": "Bearer rosa"}
    )
    path, reason = "/v1/accounts/sat_default/rules/1", {"reason": "as agreed"}
    async with client:
        refused = await client.post(f"{path}/confirm", json=reason)
        assert refused.status_code == 403
        assert "user 'rosa' lacks the right account_rules.confirm, which" in refused.json()["detail"]
        with pytest.raises(UntouchedError):
            await client.post(f"{path}/decline", json=reason)

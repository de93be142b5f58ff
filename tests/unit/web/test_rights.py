"""Rights by name: given to users and roles in a file, and to nobody without one."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from sat_hook.web.app import create_app
from sat_hook.web.rights import Holders, Right, RightsFileError, has_right, rights_from_environment
from tests.web_host import FakeHost, FakeUser, UntouchedError

GIVEN = {
    "account_rules.propose": {"users": ["Rosa"], "roles": ["Finance"]},
    "account_rules.confirm": {"users": ["carl"]},
}


def written(folder: Path, content: object, mode: int = 0o600) -> dict[str, str]:
    """An environment that names a file with that content."""
    path = folder / "rights.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    path.chmod(mode)
    return {"SAT_RIGHTS_FILE": str(path)}


@pytest.mark.parametrize(
    ("who", "may"),
    [
        (FakeUser("rosa"), True),
        (FakeUser("ROSA"), True),
        (FakeUser("ＲＯＳＡ"), False),
        (FakeUser("rosa "), False),
        (FakeUser("ro\u200bsa"), False),
        (FakeUser("rosana"), False),
        (FakeUser("alice", roles=["finance"]), True),
        (FakeUser("alice", roles=["Viewer", "Finance"]), True),
        (FakeUser("alice", roles=["user"]), False),
        (FakeUser("alice", roles=["fin\u00adance"]), False),
        (FakeUser(""), False),
    ],
)
def test_a_right_is_a_name_s_or_a_role_s(tmp_path: Path, who: FakeUser, may: bool) -> None:
    """In any case of letters; a name that only looks like the holder's may be somebody else's."""
    rights = rights_from_environment(written(tmp_path, GIVEN))
    assert has_right(who, Right.PROPOSE_RULES, rights) is may


def test_nobody_has_what_is_not_given(tmp_path: Path) -> None:
    """No variable, an empty file of rights, another right: nobody, administrators included."""
    admin = FakeUser("admin", roles=["ADMIN"])
    for environment in ({}, {"SAT_RIGHTS_FILE": " "}, written(tmp_path, {})):
        assert not has_right(admin, Right.CONFIRM_RULES, rights_from_environment(environment))
    rights = rights_from_environment(written(tmp_path, GIVEN))
    assert not has_right(FakeUser("rosa"), Right.CONFIRM_RULES, rights)


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


async def test_a_route_says_which_right_is_lacking() -> None:
    """403 with the right's name; one of several is enough."""
    rights = {Right.PROPOSE_RULES: Holders(users=("Rosa",))}
    app = create_app(FakeHost(FakeUser("rosa"), rights=rights))
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

"""Settings come from the environment, then from one file; a mistake says where it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sat_hook.cli.errors import CommandError
from sat_hook.cli.settings import find_settings

SECRET = 'it\'s a "se cret"'


def test_the_usual_file_is_found_from_below(tmp_path: Path) -> None:
    """Anywhere inside a checkout, the stack's file is found; quotes are a shell's."""
    (tmp_path / ".stack").mkdir()
    (tmp_path / ".stack" / "sat.env").write_text(
        "# made by the stack\n\nSAT_AIRFLOW_USER=ops\nexport SAT_AIRFLOW_PASSWORD='it'\\''s a \"se cret\"'\n",
        "utf-8",
    )
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    settings = find_settings(None, {}, below)
    assert settings.require("SAT_AIRFLOW_USER") == "ops"
    assert settings.require("SAT_AIRFLOW_PASSWORD") == SECRET
    assert "se cret" not in repr(settings)


def test_the_environment_comes_first_and_empty_is_missing(tmp_path: Path) -> None:
    """One value can be changed for one command."""
    file = tmp_path / "my.env"
    file.write_text("SAT_DB_DSN=from-file\nSAT_AIRFLOW_URL=\n", "utf-8")
    settings = find_settings(None, {"SAT_CONFIG": str(file), "SAT_DB_DSN": "from-environment"}, tmp_path)
    assert settings.get("SAT_DB_DSN") == "from-environment"
    assert settings.get("SAT_AIRFLOW_URL") is None


def test_a_missing_setting_says_where_it_was_looked_for(tmp_path: Path) -> None:
    """Key, places, and what it should hold."""
    with pytest.raises(CommandError, match=r"SAT_DB_DSN .*no \.stack/sat\.env.*found nothing; expected the"):
        find_settings(None, {}, tmp_path).require("SAT_DB_DSN")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"SAT_DB_DSN='half of a secret\n", "line 1"),
        (b"\nSAT_DB_DSN = two secret\n", "line 2"),
        (b"just a secret\n", "line 1"),
        (b"\xff\xfesecret", "UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_without_its_contents(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    """File and line; the line itself may hold a password."""
    file = tmp_path / "my.env"
    file.write_bytes(content)
    with pytest.raises(CommandError) as caught:
        find_settings(file, {}, tmp_path)
    assert str(file) in str(caught.value)
    assert problem in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    """Unlike the usual one."""
    with pytest.raises(CommandError, match="no such file"):
        find_settings(tmp_path / "no.env", {}, tmp_path)


def test_a_file_that_somebody_else_may_write_is_refused(tmp_path: Path) -> None:
    """Found above or named: it could send the password to another server, so nothing of it is read."""
    (tmp_path / ".stack").mkdir()
    file = tmp_path / ".stack" / "sat.env"
    file.write_text("SAT_AIRFLOW_URL=http://127.0.0.1:1\n", "utf-8")
    file.chmod(0o666)
    below = tmp_path / "below"
    below.mkdir()
    for config, folder in ((None, below), (file, tmp_path)):
        with pytest.raises(CommandError, match=r"mode 0666.*chmod go-w"):
            find_settings(config, {}, folder)
    file.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(file, 65_534, 65_534)
        with pytest.raises(CommandError, match="a file of user id 65534"):
            find_settings(None, {}, below)

"""What commands write for programs."""

from __future__ import annotations

import csv
import io
import json

import pytest
from typer.main import get_command

from sat_hook.cli.commands import app
from sat_hook.cli.for_programs import Form, is_written

LISTING = {
    "list",
    "show",
    "alerts",
    "rechecks",
    "messages",
    "actions",
    "changes",
    "attempts",
    "breaks",
    "files",
}
ROWS = [{"id": "=1+1", "members": {"a": [1]}, "is_last": False}, {"id": "é", "charged_rupiah": None}]


def test_json_is_what_the_api_answered(capsys: pytest.CaptureFixture[str]) -> None:
    """One list, or one document; a list without items is a list."""
    for found in (ROWS, ROWS[0], []):
        assert is_written(found, Form.JSON)
        assert json.loads(capsys.readouterr().out) == found


def test_csv_has_every_member(capsys: pytest.CaptureFixture[str]) -> None:
    """A column each, in the order of the API; what is no text or number is JSON; no formula runs."""
    assert is_written(iter(ROWS), Form.CSV)
    assert list(csv.reader(io.StringIO(capsys.readouterr().out))) == [
        ["id", "members", "is_last", "charged_rupiah"],
        ["'=1+1", '{"a": [1]}', "false", ""],
        ["é", "", "", ""],
    ]
    assert is_written([], Form.CSV)
    assert capsys.readouterr().out == ""


def test_people_get_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is written then: the command does it."""
    assert not is_written(ROWS, Form.TABLE)
    assert capsys.readouterr().out == ""


def test_every_command_that_lists_has_the_option() -> None:
    """Its name says that it lists."""
    without = []
    waiting = [("sat", get_command(app))]
    while waiting:
        path, command = waiting.pop()
        waiting += [(f"{path} {name}", one) for name, one in getattr(command, "commands", {}).items()]
        defaults = [option.default for option in command.params if option.name == "output"]
        if path.split()[-1] in LISTING and defaults != [Form.TABLE]:
            without.append(path)
    assert without == []

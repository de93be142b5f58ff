"""The command is a client of the API: only the commands that judge the database know it."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import sat_hook.cli

FOLDER = Path(sat_hook.cli.__file__).parent
PROJECT = FOLDER.parents[1] / "packaging" / "sat-command" / "pyproject.toml"
ALONE = {
    "commands": "the DAGs' folder",
    "context": "opens the database for those below",
    "database": "sat db",
    "errors": "the errors of all others, by name",
    "evidence": "makes an audit key",
    "log": "sat log and sat projections, and the keys that judge a log",
    "receiver": "sat receiver",
    "replay": "sat replay",
    "retention": "sat retention",
    "settlement_preview": "reads a file by itself",
}
"""Modules that need the full package, and for what."""


def _imports(path: Path) -> Iterator[str]:
    """What a module imports when it runs, at any place. What only a type checker reads is not imported."""
    tree = ast.parse(path.read_text("utf-8"))
    only_types = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
        for node in ast.walk(branch)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and id(node) not in only_types:
            yield str(node.module)


def test_commands_import_only_what_a_laptop_has() -> None:
    """Every module but the named ones runs from the wheel of the command, which has no database driver."""
    listed = tomllib.loads(PROJECT.read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    wheel = {
        target.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for target in listed["force-include"].values()
    }
    for path in sorted(FOLDER.glob("*.py")):
        if path.stem in ALONE:
            continue
        own = {name for name in _imports(path) if name.startswith("sat_hook.")}
        foreign = {name for name in own if not name.startswith("sat_hook.cli")} - wheel
        assert foreign == set(), f"{path.name}: add it to packaging/sat-command, or ask the API"


def test_only_those_that_judge_it_open_the_database() -> None:
    """Each of them says so by name."""
    openers = {path.stem for path in FOLDER.glob("*.py") if "database_of(" in path.read_text("utf-8")} - {
        "context"
    }
    assert openers == {"database", "log", "replay", "retention"}


def test_nothing_is_asked_of_airflow_but_the_login() -> None:
    """The API below /sat/v1 checks rights, maker and checker; Airflow's own API would check its own alone."""
    asked = {path.name for path in FOLDER.glob("*.py") if "/api/v" in path.read_text("utf-8")}
    assert asked == set()

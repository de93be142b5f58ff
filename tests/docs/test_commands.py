"""Commands that the pages show exist, with the options that they are shown with."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer
import yaml

from sandbox.__main__ import _parser as sandbox_parser
from sat_hook.cli.commands import app
from tests.docs.pages import CHECKOUT, Page, pages

MAKEFILE = (CHECKOUT / "Makefile").read_text("utf-8")
SAT: Any = typer.main.get_command(app)
TARGETS = set(re.findall(r"(?m)^([a-z-]+):", MAKEFILE))


def shown(which: Page) -> Iterator[str]:
    """Every command line in a block without language, and in every span of the prose."""
    for block in which.fences(""):
        for line in block.replace("\\\n", " ").splitlines():
            yield line.partition(" # ")[0].strip()
    yield from which.spans()


@pytest.mark.parametrize("which", pages(), ids=lambda one: one.name)
def test_make_targets_exist(which: Page) -> None:
    """`make something` is in the Makefile."""
    named = {
        found
        for line in shown(which)
        if line.startswith("make ")
        for found in re.findall(r"make ([a-z-]+)", line)
    }
    assert named - TARGETS == set()


@pytest.mark.parametrize("which", pages(), ids=lambda one: one.name)
def test_sat_commands_exist(which: Page) -> None:
    """`sat …` names a command of the tree, and options that it has."""
    for line in shown(which):
        if "sat " not in line:
            continue
        # docker compose run … sat batch list
        line = re.sub(r"^docker compose run .* sat (?=[a-z])", "sat ", line)
        if line.startswith(("sat ", ".venv/bin/sat ")):
            check_sat(f"{which.name}: {line}", shlex.split(line)[1:])


def check_sat(where: str, words: list[str]) -> None:
    """Follow ``words`` down the tree; what is left may be options and arguments."""
    command = SAT
    while hasattr(command, "commands") and words and re.fullmatch(r"[a-z][a-z-]*", words[0]):
        assert words[0] in command.commands, where
        command = command.commands[words.pop(0)]
    options = {option for one in command.params for option in one.opts} | {"-h", "--help"}
    given = {word.partition("=")[0] for word in words if word.startswith("-")}
    assert given <= options, where


@pytest.mark.parametrize("which", pages(), ids=lambda one: one.name)
def test_sandbox_commands_are_understood(which: Page) -> None:
    """`sat-sandbox …` in a block parses as it stands."""
    for block in which.fences(""):
        for line in block.splitlines():
            words = line.partition("#")[0].split()
            if words and words[0] == "sat-sandbox":
                sandbox_parser().parse_args(words[1:])


def test_every_command_is_explained_somewhere() -> None:
    """Each command of `sat` is on a page: users cannot find other commands."""
    text = "\n".join(which.text for which in pages())
    missing = [path for path in leaves(SAT, "sat") if path not in text]
    # In deploy.md's table the name of the program is left out.
    assert [path for path in missing if f"`{path.removeprefix('sat ')}" not in text] == []


def leaves(command: Any, path: str) -> Iterator[str]:
    """The full names of all commands below ``command``."""
    if not hasattr(command, "commands"):
        yield path
        return
    for name, below in command.commands.items():
        if below.hidden:
            continue
        yield from leaves(below, f"{path} {name}")


def test_make_help_lists_every_target_that_people_use() -> None:
    """A target without its line in `make help` is one of the Makefile's own."""
    described = set(re.findall(r"(?m)^([a-z-]+):.*## ", MAKEFILE))
    assert TARGETS - described == {"venv", "venv-dev"}


def test_pre_commit_downloads_nothing() -> None:
    """Every hook is local and runs what .venv has."""
    config = yaml.safe_load((CHECKOUT / ".pre-commit-config.yaml").read_text("utf-8"))
    assert {repository["repo"] for repository in config["repos"]} == {"local"}
    hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
    assert all(hook["entry"].startswith(".venv/bin/") for hook in hooks)
    assert {hook["id"] for hook in hooks} == {"ruff", "ruff-format", "mypy", "import-linter"}

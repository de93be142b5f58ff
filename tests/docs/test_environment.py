"""Environment variables that the pages name are read somewhere, and those that are read are named."""

from __future__ import annotations

import re
from dataclasses import is_dataclass

from sat_hook.application.settings import DeploymentSettings, variables
from sat_hook.cli.settings import CONFIG_VARIABLE, KEYS
from tests.docs.pages import CHECKOUT, first_codes, page, pages

OURS = re.compile(r"\bSAT_[A-Z_]+[A-Z]\b")
DEPLOY = page("docs/deploy.md")


def read_by_the_project() -> set[str]:
    """Every name of ours in code, scripts, compose and its example."""
    sources = [
        *(
            path
            for room in ("sat_hook", "plugins", "dags", "stack", "tests")
            for path in CHECKOUT.glob(f"{room}/**/*.py")
        ),
        *CHECKOUT.glob("docker/*"),
        CHECKOUT / "docker-compose.yaml",
    ]
    return {name for path in sources if path.is_file() for name in OURS.findall(path.read_text("utf-8"))}


def test_named_variables_are_read() -> None:
    """Every variable on a page exists."""
    named = {name for which in pages() for name in OURS.findall(which.text)}
    assert named - read_by_the_project() - variables() == set()


def test_variables_of_the_command_are_listed() -> None:
    """The table of the command `sat` equals what it reads."""
    assert first_codes(DEPLOY.section("The command `sat`")) == {*KEYS, CONFIG_VARIABLE}


def test_variables_of_airflows_processes_are_listed() -> None:
    """Spool, results, checkpoints, rights and the receiver."""
    fields = DeploymentSettings.model_fields.items()
    expected = {f"SAT_{name}".upper() for name, field in fields if not is_dataclass(field.default)}
    assert first_codes(DEPLOY.section("Environment")) == expected


def test_airflows_own_variables_have_the_form_that_airflow_reads() -> None:
    """AIRFLOW__SECTION__OPTION, or those of the composition."""
    composition = (CHECKOUT / "docker-compose.yaml").read_text("utf-8")
    for name in re.findall(r"\bAIRFLOW_[A-Z_]+[A-Z]\b", DEPLOY.text):
        assert re.fullmatch(r"AIRFLOW__[A-Z_]+?__[A-Z_]+", name) or f"${{{name}" in composition, name

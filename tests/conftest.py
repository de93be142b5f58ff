"""What tests of every kind share: PostgreSQL, and the whole stack for those that need Airflow itself."""

from __future__ import annotations

import atexit
import gc
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from stack.databases import ApplicationDatabase
from stack.lifecycle import Stack
from tests import fuzzing
from tests.postgres import DatabaseTemplate, server_for_tests
from tests.running_stack import stack_for_tests
from tests.unit.cli.running import Run, runner

# What importing makes stays; it is not searched for garbage, neither meanwhile nor afterwards.
gc.disable()

# Hundreds of processes read the same modules, and pytest rewrites each test: done once, it is kept.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Before anything imports Airflow, which would otherwise make ~/airflow, or take up what the caller's own
# Airflow is told.
for variable in [name for name in os.environ if name.startswith("AIRFLOW")]:
    del os.environ[variable]
_airflow_home = tempfile.TemporaryDirectory(prefix="sat-airflow-home-")
atexit.register(_airflow_home.cleanup)
os.environ["AIRFLOW_HOME"] = _airflow_home.name
# Requests on this machine do not go through a proxy.
for variable in ("NO_PROXY", "no_proxy"):
    os.environ[variable] = ",".join(filter(None, (os.environ.get(variable), "127.0.0.1", "localhost")))

# How fast a machine is today is not what generated cases are about. New cases are drawn in every run, but for
# those of CI, where a change is judged and not its luck.
hypothesis_settings.register_profile(
    "suite",
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
    derandomize="CI" in os.environ,
)
# HYPOTHESIS_PROFILE=fuzz: many more cases, for the fuzzers that ask tests/fuzzing.py how many they draw.
hypothesis_settings.register_profile(
    fuzzing.PROFILE, hypothesis_settings.get_profile("suite"), max_examples=fuzzing.FUZZ_EXAMPLES
)
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


LONGEST_NAME = 200


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Workers share the tests: a file stays on one of them, and so does all that needs the stack, which waits
    for Airflow most of the time.
    """
    for item in items:
        needs_stack = "running_stack" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("stack" if needs_stack else item.nodeid.partition("::")[0]))


def pytest_collection_finish() -> None:
    """All modules are there."""
    gc.freeze()
    gc.enable()


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Long texts and bytes that are no text do not name a test: a workbook holds the time at which it was
    made, and pytest-xdist refuses workers that collected tests under different names.
    """
    if isinstance(val, str | bytes) and len(val) > LONGEST_NAME:
        return argname
    return argname if isinstance(val, bytes) and not val.isascii() else None


def pytest_runtest_teardown() -> None:
    """Airflow hides the secrets of every connection that a process has read with one regular expression, and
    compiles it again for each new secret. Without those of earlier tests it stays short.
    """
    for package in ("airflow", "airflow.sdk"):
        if masker := sys.modules.get(f"{package}._shared.secrets_masker.secrets_masker"):
            masker.reset_secrets_masker()


@pytest.fixture(scope="session")
def superuser_dsn() -> Iterator[str]:
    """A superuser's DSN of the session's PostgreSQL server, started when the first test asks for it."""
    with server_for_tests() as dsn:
        yield dsn


@pytest.fixture(scope="session")
def database_template(superuser_dsn: str) -> Iterator[DatabaseTemplate]:
    """The application's schema, migrated once in a session."""
    template = DatabaseTemplate(superuser_dsn)
    yield template
    template.drop()


@pytest.fixture
def database(database_template: DatabaseTemplate) -> Iterator[ApplicationDatabase]:
    """An application database of this test alone; it has a DSN for each role."""
    with database_template.copy() as copy:
        yield copy


@pytest.fixture(scope="module")
def module_database(database_template: DatabaseTemplate) -> Iterator[ApplicationDatabase]:
    """An application database that the tests of one module share, for those that build on each other."""
    with database_template.copy() as copy:
        yield copy


@pytest.fixture
def new_database(database_template: DatabaseTemplate) -> Iterator[Callable[[], ApplicationDatabase]]:
    """Call it for one more application database; all of them are dropped at the end of the test."""
    with ExitStack() as copies:
        yield lambda: copies.enter_context(database_template.copy())


@pytest.fixture(scope="session")
def running_stack() -> Iterator[Stack]:
    """Airflow, PostgreSQL and the SAT server, started when the first test asks for them (15 seconds)."""
    with stack_for_tests() as stack:
        yield stack


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs the command far from any checkout."""
    monkeypatch.chdir(tmp_path)
    return runner(monkeypatch, capsys)

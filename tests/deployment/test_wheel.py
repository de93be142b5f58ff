"""The wheels, as another team installs them: beside their dependencies, far from any checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from importlib.metadata import PathDistribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.deployment.composition import CHECKOUT
from tests.unit.cli.scripted_airflow import BATCH_ID, PASSWORD, scripted_airflow

_LOOK = """
import importlib.util, json
from pathlib import Path
import sat_hook
from airflow.dag_processing.dagbag import DagBag
from airflow.plugins_manager import _get_plugins
from airflow.providers_manager import ProvidersManager
from sat_hook.shipped import shipped
from sat_hook.store.statements import queries

plugins, errors = _get_plugins()
bag = DagBag(shipped("dags"), bundle_path=shipped("dags"), bundle_name="sat")
print(json.dumps({
    "package": sat_hook.__file__,
    "public": {name: getattr(sat_hook, name).__name__ for name in sat_hook.__all__},
    "connection type": "sat" in ProvidersManager().hooks,
    "plugins": [plugin.name for plugin in plugins if plugin.name == "sat"],
    "plugin errors": errors,
    "dags": sorted(bag.dag_ids),
    "dag errors": bag.import_errors,
    "statements": bool(queries("events").append_events),
    "besides": [name for name in ("sandbox", "stack", "tests") if importlib.util.find_spec(name)],
}))
"""

# Many commands in one process: each start of the interpreter loads the same again.
_COMMANDS = """
import contextlib, io, json, sys
from sat_hook.cli import main

told = []
for words in json.load(sys.stdin):
    sys.argv, code = ["sat", *words], 0
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
    told.append((code, out.getvalue(), err.getvalue()))
print(json.dumps(told))
"""


def built(project: Path, folder: Path) -> Path:
    """The wheel of a project."""
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(project)], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def installed(wheel: Path, environment: Path) -> tuple[Path, Path]:
    """The interpreter and the packages' folder of a new environment with the wheel alone."""
    venv.create(environment)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, str(wheel)], check=True)
    (site,) = environment.glob("lib/python*/site-packages")
    return python, site


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    return built(CHECKOUT, tmp_path_factory.mktemp("wheel"))


def test_the_wheel_installs_one_package(wheel: Path) -> None:
    """``sat_hook`` with its SQL, its DAGs, its templates and its types, and nothing else at top level."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"sat_hook", "sat_bulk_orders"}
    assert {
        "sat_hook/py.typed",
        "sat_hook/sql/privileges.sql",
        "sat_hook/sql/queries/events.sql",
        "sat_hook/dags/bulk_disbursement.py",
    } <= set(names)
    assert any(name.startswith("sat_hook/web/console/templates/") for name in names)


def test_an_installed_wheel_brings_everything_to_airflow(wheel: Path, tmp_path: Path) -> None:
    """Connection type, operators, plugin, DAGs and SQL are there, and nothing of a checkout.

    The dependencies are those of this environment; the package itself comes from the wheel alone.
    """
    python, site = installed(wheel, tmp_path / "venv")
    for item in Path(sysconfig.get_path("purelib")).iterdir():
        if "sat_bulk_orders" not in item.name and not (site / item.name).exists():
            (site / item.name).symlink_to(item)
    done = subprocess.run(
        [str(python), "-c", _LOOK],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "AIRFLOW_HOME": str(tmp_path / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////" + str(tmp_path / "airflow.db").lstrip("/"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.pop("package").startswith(str(site))
    public = found.pop("public")
    assert "SATHook" in public
    assert all(name == kind for name, kind in public.items())
    assert found == {
        "connection type": True,
        "plugins": ["sat"],
        "plugin errors": {},
        "dags": sorted(file.stem for file in (CHECKOUT / "dags").glob("*.py")),
        "dag errors": {},
        "statements": True,
        "besides": [],
    }


def test_the_command_alone_runs_on_a_laptop(tmp_path: Path) -> None:
    """Beside nothing but the dependencies that its wheel declares: no Airflow, database driver or pandas.

    What works through the API does all it does; what needs the database says which package has it.
    """
    python, site = installed(built(CHECKOUT / "packaging" / "sat-command", tmp_path), tmp_path / "venv")
    for name in dependencies_of(site):
        for file in distribution(name).files or ():
            target = site / file.parts[0]
            if file.parts[0] not in ("..", "__pycache__") and not target.exists():
                target.symlink_to(str(distribution(name).locate_file(file.parts[0])))
    assert not {"airflow", "psycopg2", "pandas", "fastapi"} & {item.name for item in site.iterdir()}
    assert not (site / "sat_hook" / "plugin.py").exists()

    with scripted_airflow() as airflow:
        airflow.lists["/batches"] = lambda _: {"items": [LISTED], "next": None}
        airflow.lists |= {place: lambda _, document=document: document for place, document in READS.items()}
        settings = {
            "SAT_AIRFLOW_URL": airflow.url,
            "SAT_AIRFLOW_USER": "ops",
            "SAT_AIRFLOW_PASSWORD": PASSWORD,
        }
        (tmp_path / "orders.csv").write_bytes(b"order_id,product_code,client_number\n")

        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **settings}

        def run(*command: str, given: str = "") -> str:
            done = subprocess.run(
                command,
                cwd=tmp_path,
                env=environment,
                input=given,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        assert "projections" in run(str(python.with_name("sat")), "--help")
        working = {
            ("batch", "list"): "november.csv",
            ("batch", "submit", "orders.csv", "--wait"): "Rp 260,000",
            ("batch", "watch", BATCH_ID, "--timeout", "1"): "Still running",
            ("batch", "results", BATCH_ID, "--output", "results.csv"): "",
            ("alerts",): "nothing",
            ("rechecks",): "nothing was due",
            ("prices", "show", "5k"): "Rp 5,100",
            ("prices", "changes", "--since", "7d"): "+2.0 %",
            ("prices", "week"): "Week 2026-W45",
            ("reconcile", "list"): "certified by user:carl",
            ("reconcile", "breaks"): "0 breaks, as of 2026-11-02",
        }
        cancel = ("order", "cancel", "X", "--reason", "a test")
        incomplete = (("db", "migrate"), ("replay",), ("log", "verify"), ("dags-folder",))
        commands = [*working, cancel, *incomplete]
        told = json.loads(run(str(python), "-c", _COMMANDS, given=json.dumps(commands)))
        ran = dict(zip(commands, told, strict=True))
        for words, said in working.items():
            assert said in ran[words][1], (words, ran[words])
        assert "found 0 orders 'X'" in ran[cancel][2]
        for words in incomplete:
            code, _, error = ran[words]
            assert (code, "the full package, sat-bulk-orders" in error) == (2, True), ran[words]
            assert error.count("\n") == 1, error


NOTHING = {"items": [], "next": None}
PRODUCT = {
    "code": "5k",
    "name": "Pulsa 5,000",
    "price_rupiah": 5_100,
    "is_inquiry": False,
    "status": 1,
    "operator_name": "XL",
    "category_name": "Pulsa",
}
LISTING = {"product": PRODUCT, "snapshot_id": 7, "since": "2026-11-02T03:00:00Z", "until": None}
CHANGE = {
    "snapshot_id": 7,
    "seen_at": "2026-11-02T03:00:00Z",
    "kind": "changed",
    "before": {**PRODUCT, "price_rupiah": 5_000},
    "after": PRODUCT,
}
WEEK = {
    "account": "demo",
    "week": "2026-W45",
    "since": "2026-11-01T17:00:00Z",
    "until": "2026-11-08T17:00:00Z",
    "attempts": {"complete": 160},
    **dict.fromkeys(("listed_before", "listed_after", "appeared", "returned", "disappeared"), 0),
    **dict.fromkeys(("statuses", "rises", "falls"), 0),
    "largest": [],
}
CLOSED = {
    "account": "demo",
    "day": "2026-11-02",
    "position": 5,
    "orders": 4,
    "open_breaks": 0,
    "unexplained_rupiah": 0,
    "prepared_by": "user:rosa",
    "is_closed_again": False,
    "certified_by": "user:carl",
    "adjusted_in": [],
}
READS = {
    "/orders/named": NOTHING,
    "/alerts": NOTHING,
    "/rechecks": NOTHING,
    "/products/5k/prices": {"items": [LISTING], "next": None, "account": "demo"},
    "/price-records/lists": {"account": "demo", "last_list_at": None, "gaps": []},
    "/price-records/changes": {"items": [CHANGE], "next": None},
    "/price-records/week": WEEK,
    "/account-standings": {"items": [{"account": "demo"}], "next": None},
    "/books/demo/closes": {"items": [CLOSED], "next": None},
    "/books/demo/closes/2026-11-02/breaks": NOTHING,
}
"""What the API answers at a few routes."""
LISTED = {
    "batch_id": BATCH_ID,
    "state": "completed",
    "account": "demo",
    "file_name": "november.csv",
    "rows": 5,
    "orders": {"succeeded": 5},
    "set_aside": 0,
    "needs_rows": 0,
    "quoted_rupiah": 260_000,
    "run_paid_rupiah": 260_000,
}


def dependencies_of(site: Path) -> set[str]:
    """The packages that the wheel in this folder requires, and those that they require."""
    (metadata,) = site.glob("sat_command-*.dist-info")
    found: set[str] = set()
    wanted = list(PathDistribution(metadata).requires or ())
    while wanted:
        requirement = Requirement(wanted.pop())
        is_wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if is_wanted and requirement.name not in found:
            found.add(requirement.name)
            wanted += distribution(requirement.name).requires or ()
    return found

"""The wheel, as another team installs it: beside its dependencies, far from any checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.deployment.composition import CHECKOUT

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


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(CHECKOUT)], check=True)
    (built,) = folder.glob("*.whl")
    return built


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
    assert any(name.startswith("sat_hook/web/templates/") for name in names)


def test_an_installed_wheel_brings_everything_to_airflow(wheel: Path, tmp_path: Path) -> None:
    """Connection type, operators, plugin, DAGs and SQL are there, and nothing of a checkout.

    The dependencies are those of this environment; the package itself comes from the wheel alone.
    """
    environment = tmp_path / "venv"
    venv.create(environment)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, str(wheel)], check=True)
    (site,) = environment.glob("lib/python*/site-packages")
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

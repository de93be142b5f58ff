"""What the provider says that it has, is there."""

from __future__ import annotations

import json
from importlib import import_module
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from airflow.sdk import BaseOperator
from airflow.sdk.bases.operatorlink import BaseOperatorLink
from airflow.triggers.base import BaseTrigger

from sat_hook.operators.links import BatchProgressLink, progress_path
from sat_hook.provider import get_provider_info


def test_it_fits_airflow_s_own_schema() -> None:
    """Airflow passes over a provider whose metadata does not."""
    schema = json.loads(files("airflow").joinpath("provider_info.schema.json").read_text("utf-8"))
    jsonschema.validate(get_provider_info(), schema)


@pytest.mark.parametrize(
    ("kind", "base", "names"),
    [
        ("operators", BaseOperator, {"SATInquiryOperator", "SATCheckoutOperator", "SATStatusOperator"}),
        ("sensors", BaseOperator, {"SATBatchSensor", "SATFundsSensor", "SATOrderSensor"}),
        ("triggers", BaseTrigger, {"SATBatchTrigger", "SATFundsTrigger", "SATOrderTrigger"}),
    ],
)
def test_its_modules_hold_what_people_import(kind: str, base: type, names: set[str]) -> None:
    """By class, in the modules that it lists."""
    [listed] = get_provider_info()[kind]
    found: set[str] = set()
    for module_name in listed["python-modules"]:
        for name, member in vars(import_module(module_name)).items():
            if isinstance(member, type) and issubclass(member, base) and member.__module__ == module_name:
                found.add(name)
    assert found == names


def test_its_links_are_links() -> None:
    """By the path of their class."""
    for path in get_provider_info()["extra-links"]:
        module_name, _, name = path.rpartition(".")
        assert issubclass(getattr(import_module(module_name), name), BaseOperatorLink)


@pytest.mark.parametrize(
    ("base_url", "path"),
    [
        ("", "/sat/console/batches/B1"),
        ("https://airflow.example", "/sat/console/batches/B1"),
        ("https://example/tools/airflow/", "/tools/airflow/sat/console/batches/B1"),
    ],
)
def test_a_link_leads_to_the_server_that_shows_it(
    monkeypatch: pytest.MonkeyPatch, base_url: str, path: str
) -> None:
    """A path without a host: people reach Airflow by other names than its workers do."""
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)
    assert progress_path("B1") == path


@pytest.mark.parametrize("batch_id", [None, "", "None"])
def test_without_a_batch_there_is_no_link(batch_id: Any) -> None:
    """Nothing waited to be paid, or the intake failed."""

    class Task:
        pass

    task = Task()
    task.batch_id = batch_id  # type: ignore[attr-defined]
    assert BatchProgressLink().get_link(task, ti_key=None) == ""  # type: ignore[arg-type]

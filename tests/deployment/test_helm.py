"""deploy/: values for the official chart of Airflow, and the receivers beside it."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import pytest
import yaml
from airflow.configuration import retrieve_configuration_description

from sat_hook.application.settings import DeploymentSettings
from tests.deployment.composition import CHECKOUT, composed

MAY_PAY = {"workers", "triggerer", "apiServer"}
OF_PROVIDERS = {"celery", "celery_broker_transport_options"}


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    """The values file."""
    found: dict[str, Any] = yaml.safe_load((CHECKOUT / "deploy" / "helm-values.yaml").read_text("utf-8"))
    return found


def component(values: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = values[name]["celery"] if name == "workers" else values[name]
    return found


def test_every_option_is_one_of_airflow(values: dict[str, Any]) -> None:
    """The chart passes any name on, so a mistyped one would set nothing. Celery's come with its extra."""
    known = retrieve_configuration_description(include_providers=False)
    for section in values["config"].keys() - OF_PROVIDERS:
        assert values["config"][section].keys() <= known[section]["options"].keys(), section


def test_places_are_settings_of_the_deployment(values: dict[str, Any]) -> None:
    """Each is in the object store: no two pods share a disk."""
    for entry in yaml.safe_load(values["extraEnv"]):
        assert entry["name"].removeprefix("SAT_").lower() in DeploymentSettings.model_fields
        assert entry["value"].startswith("s3://") or entry["name"] == "SAT_ACCOUNTS"


def test_no_secret_is_written_down(values: dict[str, Any]) -> None:
    """Passwords and connections come from secrets of the cluster, and the chart makes no key anew."""
    assert values["data"]["metadataConnection"]["pass"] == ""
    for name in ("fernetKeySecretName", "jwtSecretName", "apiSecretKeySecretName"):
        assert values[name]
    for name in MAY_PAY:
        for entry in component(values, name)["env"]:
            assert "secretKeyRef" in entry.get("valueFrom", {}) or not entry["name"].startswith("AIRFLOW")


def test_only_what_pays_holds_the_means_to_pay(values: dict[str, Any]) -> None:
    """With Celery the scheduler runs no task, so it is not among them; only workers sign checkpoints."""
    holders = {name for name in values if "AIRFLOW_CONN_SAT_DEFAULT" in str(values[name])}
    assert holders == MAY_PAY
    assert {name for name in values if "sat-audit-key" in str(values[name])} == {"workers"}


def test_two_of_each(values: dict[str, Any]) -> None:
    """Any of them may be away."""
    assert {component(values, name)["replicas"] for name in (*MAY_PAY, "scheduler")} == {2}


def test_prepared_statements_do_not_meet_the_pooler(values: dict[str, Any]) -> None:
    """Without a driver's name Airflow takes psycopg 3, which prepares statements; asyncpg always does."""
    assert values["data"]["metadataConnection"]["protocol"] == "postgresql+psycopg2"
    names = {entry["name"] for entry in values["apiServer"]["env"]}
    assert "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC" in names


def test_the_image_is_laid_out_as_the_chart_is_told(values: dict[str, Any]) -> None:
    """Home, user and folders are those of the Dockerfile."""
    dockerfile = (CHECKOUT / "Dockerfile").read_text("utf-8")
    assert f"AIRFLOW_HOME={values['airflowHome']} " in dockerfile
    assert f"USER {values['uid']}:{values['gid']}" in dockerfile
    assert "/opt/sat/docker/" in dockerfile
    for option in ("dags_folder", "plugins_folder"):
        folder = PurePosixPath(values["config"]["core"][option])
        assert f"COPY {folder.name} {folder}" in dockerfile


def test_the_image_has_what_the_chart_starts_in_it(values: dict[str, Any]) -> None:
    """Its probes start with /entrypoint; its log groomers need a program of Airflow's own image."""
    assert "> /entrypoint" in (CHECKOUT / "Dockerfile").read_text("utf-8")
    for name in ("workers", "triggerer", "scheduler", "dagProcessor"):
        assert component(values, name)["logGroomerSidecar"] == {"enabled": False}, name


def test_the_receivers_run_as_in_the_composition(environment: dict[str, str]) -> None:
    """Two of them, the same command and port, without any right on the machine."""
    documents = list(yaml.safe_load_all((CHECKOUT / "deploy" / "receivers.yaml").read_text("utf-8")))
    deployment = next(one for one in documents if one["kind"] == "Deployment")["spec"]
    assert deployment["replicas"] == 2
    (container,) = deployment["template"]["spec"]["containers"]
    service = composed(environment)["services"]["receiver"]
    assert container["command"] == service["command"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    names = {entry["name"] for entry in container["env"]}
    assert names == service["environment"].keys()

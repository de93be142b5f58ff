"""docker-compose.yaml keeps what docs/deploy.md promises: no default secret, no root, little to reach."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from sat_hook.domain.account_rules import TIERS
from sat_hook.hooks.sat_connection import EXTRA_FIELDS, GUARD_FIELDS
from tests.deployment.composition import CHECKOUT, composed, example_environment, uses

SECRET = re.compile(r"PASSWORD$|SECRET|FERNET_KEY|CLIENT_ID|PRIVATE_KEY_FILE|PASSWORDS_FILE")
JOBS = {"databases", "sat-schema", "airflow-schema", "sat"}
PUBLISHED = {"api-server", "receiver", "proxy"}
MAY_PAY = {"api-server", "scheduler", "triggerer", "scheduler-2", "triggerer-2", "worker", "worker-2"}
CELERY = {"redis", "pgbouncer", "proxy", "scheduler-2", "triggerer-2", "receiver-2", "worker", "worker-2"}
KNOWN_KEYS = {
    "build", "cap_drop", "command", "cpus", "depends_on", "entrypoint", "environment", "healthcheck", "image",
    "init", "logging", "mem_limit", "networks", "pids_limit", "ports", "profiles", "read_only", "restart",
    "security_opt", "shm_size", "stop_grace_period", "tmpfs", "user", "volumes",
}  # fmt: skip

Services = dict[str, dict[str, Any]]


def test_services_use_only_keys_that_the_compose_specification_has(services: Services) -> None:
    """A mistyped key would be an error of every start; there is no engine here to say so."""
    assert {name: service.keys() - KNOWN_KEYS for name, service in services.items()} == {
        name: set() for name in services
    }


def test_old_and_new_compose_read_the_file(environment: dict[str, str]) -> None:
    """No `version`, and no `name`, which older ones refuse."""
    document = composed(environment)
    plain = {key for key in document if not key.startswith("x-")}
    assert plain == {"services", "networks", "volumes"}


def test_no_secret_has_a_default() -> None:
    """Each secret is required wherever it is used, with a message that says what it is."""
    careless = [use for use in uses() if SECRET.search(use.name) and (use.kind != ":?" or not use.rest)]
    assert careless == []


def test_no_secret_is_written_down(services: Services) -> None:
    """Values under names of secrets come from the environment: the example gives none."""
    assert {name: value for name, value in example_environment().items() if SECRET.search(name)} == {
        name: value if name.endswith("_FILE") else ""
        for name, value in example_environment().items()
        if SECRET.search(name)
    }


@pytest.mark.parametrize("missing", sorted({use.name for use in uses() if use.kind == ":?"}))
def test_a_missing_required_variable_stops_the_start(environment: dict[str, str], missing: str) -> None:
    """Also when it is there and empty."""
    with pytest.raises(KeyError, match=missing):
        composed(environment | {missing: ""})


def test_every_variable_is_documented_and_exemplified() -> None:
    """docs/deploy.md and .env.example name what the file reads, and nothing that it does not."""
    used = {use.name for use in uses()}
    assert example_environment().keys() == used
    documented = set(re.findall(r"^\| `([A-Z][A-Z0-9_]+)` \|", _deploy(), re.MULTILINE))
    assert used - documented == set()


def test_defaults_of_the_example_are_those_of_the_file() -> None:
    """Leaving a line out of .env changes nothing."""
    example = example_environment()
    differing = {
        use.name: (use.rest, example[use.name])
        for use in uses()
        if use.kind == ":-" and use.rest != example[use.name]
    }
    assert differing == {}


def test_nothing_runs_as_root(services: Services) -> None:
    """PostgreSQL, Redis and the proxy as the user of their images, the rest as 50000, none with a way up."""
    users = {name: service.get("user") for name, service in services.items()}
    assert set(users.values()) == {"postgres", "redis", "haproxy", "50000:50000"}
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_file_systems_are_read_only(services: Services) -> None:
    """Writable are named volumes and memory; what comes from the host is read-only."""
    for name, service in services.items():
        assert service["read_only"] is True, name
        for volume in service.get("volumes", []):
            source, _, mode = volume.rpartition(":")
            assert mode == "ro" or not source.startswith((".", "/")), (name, volume)


def test_everything_has_limits(services: Services) -> None:
    """Memory, processors, processes, and the size of logs."""
    for name, service in services.items():
        assert {"mem_limit", "cpus", "pids_limit", "logging"} <= service.keys(), name


def test_only_the_api_server_and_the_way_of_callbacks_are_published(services: Services) -> None:
    """And to this machine alone, unless configured otherwise."""
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published.keys() == PUBLISHED
    for ports in published.values():
        assert [port.startswith("127.0.0.1:") for port in ports] == [True]


def test_postgres_is_reached_from_inside_only(services: Services, environment: dict[str, str]) -> None:
    """Its one network leads nowhere else."""
    assert services["postgres"]["networks"] == ["database"]
    assert composed(environment)["networks"]["database"] == {"internal": True}


def test_services_are_watched_and_jobs_end(services: Services) -> None:
    """What runs for ever has a health check and comes back; a job has neither."""
    for name, service in services.items():
        assert ("healthcheck" in service) == (name not in JOBS), name
        assert service["restart"] == ("no" if name in JOBS else "unless-stopped"), name


def test_only_what_pays_holds_the_means_to_pay(services: Services) -> None:
    """The private key, the client's secret and the writer's password are where orders are sent from."""
    holders = {
        name
        for name, service in services.items()
        if "AIRFLOW_CONN_SAT_DEFAULT" in service.get("environment", {})
        or any("client_private.pem" in volume for volume in service.get("volumes", []))
    }
    assert holders == MAY_PAY


def test_each_role_goes_where_it_belongs(services: Services, environment: dict[str, str]) -> None:
    """A part that is broken into has one role's password, not all."""
    roles = {
        "SAT_WRITER_PASSWORD": MAY_PAY | {"sat-schema", "pgbouncer"},
        "SAT_READER_PASSWORD": {"sat", "sat-schema"},
        "SAT_RECEIVER_PASSWORD": {"receiver", "receiver-2", "sat-schema", "pgbouncer"},
        "SAT_OWNER_PASSWORD": {"databases", "sat-schema"},
        "POSTGRES_PASSWORD": {"postgres", "databases", "sat-schema"},
    }
    for variable, expected in roles.items():
        secret = environment[variable]
        holders = {name for name, service in services.items() if secret in str(service.get("environment"))}
        assert holders == expected, variable


def test_dependencies_exist_and_can_be_waited_for(services: Services) -> None:
    """Healthy needs a health check, completed needs a job."""
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            has_check = "healthcheck" in services[other]
            expected = "service_healthy" if has_check else "service_completed_successfully"
            assert how == {"condition": expected}, (name, other)


def test_without_the_profile_nothing_needs_redis(services: Services) -> None:
    """What the profile adds starts with it alone, and is waited for by nothing else."""
    assert {name for name, service in services.items() if service.get("profiles") == ["celery"]} == CELERY
    for name in services.keys() - CELERY:
        assert not CELERY & set(services[name].get("depends_on", {})), name


def test_two_of_a_kind_differ_in_nothing(services: Services) -> None:
    """Either may be away, and which of them answers makes no difference."""
    without = {"profiles", "ports"}
    for name in ("scheduler", "triggerer", "receiver", "worker"):
        one, other = (
            {key: value for key, value in services[kind].items() if key not in without}
            for kind in (name, f"{name}-2")
        )
        assert one == other, name


def test_named_volumes_and_networks_are_declared(services: Services, environment: dict[str, str]) -> None:
    """Every name that a service uses is there."""
    document = composed(environment)
    for service in services.values():
        assert set(service["networks"]) <= document["networks"].keys()
        sources = {volume.split(":")[0] for volume in service.get("volumes", [])}
        assert {source for source in sources if source[0] not in "./"} <= document["volumes"].keys()


def test_mounted_files_of_this_project_exist(services: Services) -> None:
    """What is mounted from docker/ is there."""
    for service in services.values():
        for volume in service.get("volumes", []):
            if volume.startswith("./docker/"):
                assert (CHECKOUT / volume.split(":")[0]).is_file(), volume


def _deploy() -> str:
    return (CHECKOUT / "docs" / "deploy.md").read_text("utf-8")


def test_every_field_of_the_connection_can_be_set(environment: dict[str, str]) -> None:
    """Each field but keys in text, which are files here; what is set there is what the pipeline reads."""
    in_text = {"private_key", "sat_public_keys"}
    rules = {name: str(number) for number, name in enumerate((*GUARD_FIELDS, *TIERS), 11)}
    given = {f"SAT_{name.upper()}": value for name, value in rules.items()}
    paying = composed(environment | given)["services"]["scheduler"]["environment"]
    connection = json.loads(paying["AIRFLOW_CONN_SAT_DEFAULT"])
    assert connection["extra"].keys() == EXTRA_FIELDS - in_text
    assert {name: connection["extra"][name] for name in rules} == rules

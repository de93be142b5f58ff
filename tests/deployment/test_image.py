"""Dockerfile: pinned and hashed, unprivileged, and holding what the services run."""

from __future__ import annotations

import fnmatch
import re

from tests.deployment.composition import CHECKOUT

DOCKERFILE = (CHECKOUT / "Dockerfile").read_text("utf-8")
STAGES = re.split(r"(?m)^FROM ", DOCKERFILE)[1:]


def test_requirements_are_installed_with_their_hashes() -> None:
    """What was tested is what runs."""
    assert "pip install --require-hashes --requirement /build/requirements.txt" in DOCKERFILE
    assert "--hash=sha256:" in (CHECKOUT / "requirements.txt").read_text("utf-8")


def test_the_base_is_a_supported_python() -> None:
    """The slim image of a version that pyproject.toml allows, in both stages."""
    assert [stage.split()[0] for stage in STAGES] == ["python:3.12-slim", "python:3.12-slim"]


def test_the_image_runs_unprivileged() -> None:
    """The last USER is the number that compose and the volumes' owner use, too."""
    assert re.findall(r"(?m)^USER (\S+)", STAGES[-1]) == ["50000:50000"]


def test_nothing_secret_can_be_copied() -> None:
    """The context excludes everything and names what it takes."""
    lines = (CHECKOUT / ".dockerignore").read_text("utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert not any("env" in rule or "keys" in rule for rule in rules if rule.startswith("!"))


def test_what_is_copied_exists_and_is_in_the_context() -> None:
    """Each COPY from the checkout finds its source."""
    lines = (CHECKOUT / ".dockerignore").read_text("utf-8").splitlines()
    taken = [line[1:] for line in lines if line.startswith("!")]
    for line in re.findall(r"(?m)^COPY (?!--from)(.+)$", DOCKERFILE):
        for source in line.split()[:-1]:
            assert (CHECKOUT / source).exists(), source
            assert any(source == rule or source.startswith(f"{rule}/") for rule in taken), source


def test_the_build_has_every_package_that_the_wheel_names() -> None:
    """A package missing in the image would be missed at the first start only."""
    pyproject = (CHECKOUT / "pyproject.toml").read_text("utf-8")
    packages = re.search(r"(?m)^packages = \[(.+)\]$", pyproject)
    assert packages is not None
    for package in re.findall(r'"([a-z_]+)"', packages[1]):
        assert fnmatch.filter(DOCKERFILE.splitlines(), f"COPY {package} /build/{package}"), package

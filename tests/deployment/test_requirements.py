"""The pins of the extras fit those of every installation, and each other."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement

from tests.deployment.composition import CHECKOUT

EXTRAS = ("celery", "s3", "kubernetes")


def text_of(extra: str) -> str:
    return (CHECKOUT / f"requirements-{extra}.txt").read_text("utf-8")


def pins(text: str) -> dict[str, set[str]]:
    """The versions of each package; several where they depend on the version of Python."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"(?m)^([a-z0-9._-]+)(?:\[[^]]*\])?==([^ ;]+)", text):
        found.setdefault(name, set()).add(version)
    return found


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_adds_to_what_is_installed_anyway(extra: str) -> None:
    """It changes no pin, so that any two of them can be installed together."""
    base = pins((CHECKOUT / "requirements.txt").read_text("utf-8"))
    others = [pins(text_of(other)) for other in EXTRAS if other != extra]
    mine = pins(text_of(extra))
    assert mine
    for known in (base, *others):
        assert {name: mine[name] for name in mine.keys() & known.keys()} == {
            name: known[name] for name in mine.keys() & known.keys()
        }


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_pins_of_an_extra_hold_what_pyproject_asks_for(extra: str) -> None:
    """Within its bounds, each with hashes, and without the address of an index."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
    text = text_of(extra)
    for wanted in map(Requirement, project["optional-dependencies"][extra]):
        assert all(wanted.specifier.contains(version) for version in pins(text)[wanted.name]), wanted
    assert text.count("==") <= text.count("--hash=sha256:")
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links", text)

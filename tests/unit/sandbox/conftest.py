"""What the sandbox's tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from sandbox.keys import KeyPairs
from tests.keys import key_pairs
from tests.unit.sandbox.partner import Partner

PartnerFactory = Callable[..., Partner]


@pytest.fixture(scope="session")
def keys() -> KeyPairs:
    """Both key pairs, made once a session."""
    return key_pairs()


@pytest.fixture
def new_partner(keys: KeyPairs) -> Iterator[PartnerFactory]:
    """Call it with a scenario (plain data) for a partner and a world of its own."""
    journals = []

    def make(scenario: Mapping[str, Any] | None = None, **options: Any) -> Partner:
        partner = Partner(keys, scenario, **options)
        journals.append(partner.world.journal)
        return partner

    yield make
    for journal in journals:
        journal.close()


@pytest.fixture
def partner(new_partner: PartnerFactory) -> Partner:
    """A partner in the default scenario."""
    return new_partner()


@pytest.fixture
def faulty(new_partner: PartnerFactory) -> PartnerFactory:
    """Call it with a fault and its settings for a partner with this rule alone."""
    return lambda fault, **settings: new_partner({"faults": [{"fault": fault, **settings}]})

"""Which accounts the scheduled DAGs look after."""

from __future__ import annotations

import pytest

from sat_hook.operators.accounts import accounts_of_installation, accounts_param


@pytest.mark.parametrize(
    ("named", "found"),
    [
        (None, ["sat_default"]),
        ("", ["sat_default"]),
        (" , ", ["sat_default"]),
        ("sat_shop", ["sat_shop"]),
        ("sat_default, sat_shop,,sat_default", ["sat_default", "sat_shop"]),
    ],
)
def test_the_environment_names_the_accounts_of_scheduled_runs(
    monkeypatch: pytest.MonkeyPatch, named: str | None, found: list[str]
) -> None:
    """A scheduled run has no parameters of its own: an account that is not named here is not recovered."""
    monkeypatch.delenv("SAT_ACCOUNTS", raising=False)
    if named is not None:
        monkeypatch.setenv("SAT_ACCOUNTS", named)
    assert accounts_of_installation() == found
    assert accounts_param("to look after").value == found

"""The retention policy file: its defaults, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from sat_hook.application.errors import RetentionPolicyError
from sat_hook.application.retention_policy import DEFAULT_POLICY, MINIMUM_DAYS, Kind, policy_in


def test_no_file_means_the_defaults() -> None:
    """Nothing is removed by the DAG, evidence and events are kept for ever."""
    policy = policy_in("")
    assert policy == DEFAULT_POLICY
    assert not policy.run
    assert [kind for kind in Kind if policy.days_of(kind) is None] == [
        Kind.EVENTS,
        Kind.EVIDENCE,
        Kind.CALLBACKS,
    ]


def test_a_default_is_a_term_that_a_file_may_have() -> None:
    """Defaults are within the limits."""
    for kind, least in MINIMUM_DAYS.items():
        days = DEFAULT_POLICY.days_of(kind)
        assert days is None or (least is not None and days >= least)


def test_a_file_changes_what_it_names(tmp_path: Path) -> None:
    """All other kinds keep their defaults."""
    file = tmp_path / "retention.toml"
    file.write_text('run = true\n[spool]\nkeep_days = 40\n[alerts]\nkeep_days = "forever"\n')
    policy = policy_in(str(file))
    assert (policy.run, policy.days_of(Kind.SPOOL), policy.days_of(Kind.ALERTS)) == (True, 40, None)
    assert policy.days_of(Kind.EXPORTS) == DEFAULT_POLICY.days_of(Kind.EXPORTS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("run = 1", "run: found 1; expected true or false"),
        ("[spol]\nkeep_days = 40", "spol: found an unknown key; expected one of run, require_signed_days"),
        ("[spool]\nkep_days = 40", "spool.keep_days: found nothing; expected a whole number of days from 31"),
        ("[spool]\nkeep_days = 40\nx = 1", "spool.x: found an unknown key; expected one of keep_days"),
        ("[spool]\nkeep_days = 3", "spool.keep_days: found 3; expected a whole number of days from 31"),
        ("[spool]\nkeep_days = 40.5", "spool.keep_days: found 40.5; expected a whole number"),
        ('[spool]\nkeep_days = "ever"', "spool.keep_days: found 'ever'; expected a whole number"),
        ("spool = 40", "spool: found 40; expected a table with keep_days"),
        ("[evidence]\nkeep_days = 400", 'evidence.keep_days: found 400; expected "forever"'),
        ("run = true\nrun = true", "found no TOML (Cannot overwrite a value"),
        ("run = yes", "found no TOML (Invalid value (at line 1"),
    ],
)
def test_a_wrong_file_is_named_with_key_found_and_expected(tmp_path: Path, text: str, said: str) -> None:
    """The whole file is refused: half a policy could remove too much."""
    file = tmp_path / "retention.toml"
    file.write_text(text)
    with pytest.raises(RetentionPolicyError) as caught:
        policy_in(str(file))
    assert str(caught.value).startswith(f"{file}: {said}")


def test_a_file_that_others_may_write_is_refused(tmp_path: Path) -> None:
    """Another user could let evidence go."""
    file = tmp_path / "retention.toml"
    file.write_text("run = true")
    file.chmod(0o666)
    with pytest.raises(RetentionPolicyError, match=r"SAT_RETENTION_FILE: .*lets others write"):
        policy_in(str(file))

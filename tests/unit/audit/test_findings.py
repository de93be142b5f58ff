"""What a finding says about damage of foreign origin."""

from __future__ import annotations

from sat_hook.audit.findings import Finding, FindingKind


def test_a_finding_is_one_line_whatever_was_planted() -> None:
    """A name that a terminal would obey cannot wipe out the line that accuses it."""
    planted = "order/\x1b[2K\rThe log is whole\n\u202e"
    finding = Finding(FindingKind.VERSION_GAP, planted, 2, 7, "version 2", "version 1")
    text = str(finding)
    assert text.isprintable()
    assert text.endswith("version 2 (position 7): version_gap: found version 2, expected version 1")

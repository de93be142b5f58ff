"""The readable cover of an evidence pack: one HTML page in Indonesian and English, without scripts.

Every fact on it stands in an element ``data`` with its name as the class, written as the manifest has it.
The pack's verifier reads these elements and compares them with what it found itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from sat_hook.domain.errors import UnknownEventError
from sat_hook.domain.event_record import RecordedEvent
from sat_hook.domain.people import user_named
from sat_hook.domain.verifications import LogVerified
from sat_hook.presentation.chart_style import custom_properties
from sat_hook.presentation.language import OWN_NAMES, Language, Wording
from sat_hook.presentation.language import marked as _
from sat_hook.presentation.templates import templates_of

NAME = "cover.html"
VERIFY_PACK = "python verify.py --key audit_public.pem %s.zip"
"""How an auditor verifies the pack with this id."""

CONTENTS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("events.jsonl", "checkpoints.jsonl"),
        _("the log in whole checkpoints, with a few events before and after the period"),
    ),
    (
        ("approvals.csv", "overrides.csv", "deliveries.csv", "exports.csv"),
        _("decisions, deliveries and exports of people"),
    ),
    (("reconciliations.csv",), _("closed days, breaks, sign-offs, settlement files, top-ups")),
    (("actions.csv",), _("all other acts of people")),
    (("rights.jsonl",), _("who had which right at the beginning, and after each change that was seen")),
    (
        ("callbacks.jsonl", "signed_statuses.jsonl"),
        _("callbacks of the period, and the signed statuses that these events name"),
    ),
    (
        ("deposits.jsonl", "price_snapshots.jsonl", "price_changes.jsonl"),
        _("observations of the deposit, and the history of prices"),
    ),
    (("verify.py", "README.txt"), _("how to verify it")),
)
"""The files that the cover lists with their digests, and what they hold."""

SEALED: tuple[tuple[str, ...], str] = (
    (NAME, "manifest.json", "manifest.sig.json"),
    _("this cover; who asked for the pack and why, the digest of every file; signed"),
)

_HELD = {name: text for names, text in CONTENTS for name in names}
_ORDER = list(_HELD)
_STYLE = "cover.css"


@dataclass(frozen=True, slots=True)
class LastVerification:
    """The last verification of the log that the pack itself records."""

    position: int
    at: datetime
    verified: LogVerified


def last_verification(recorded: RecordedEvent) -> LastVerification | None:
    """What an event ``LogVerified`` says; None when it was altered and cannot be read."""
    try:
        event = recorded.event
    except (UnknownEventError, ValueError):
        return None
    if not isinstance(event, LogVerified):
        return None
    return LastVerification(recorded.position, recorded.occurred_at, event)


def render_cover(
    manifest: Mapping[str, Any],
    *,
    checkpoint_keys: Sequence[str],
    sealed_by: str,
    verification: LastVerification | None,
) -> bytes:
    """Render the cover of a pack.

    :param manifest: the pack's manifest, with the files that are written so far.
    :param checkpoint_keys: the keys that signed the pack's checkpoints, by their ids.
    :param sealed_by: the key that signs the manifest.
    """
    listed = sorted(manifest["files"], key=lambda file: _ORDER.index(file["name"]))
    own_style = files("sat_hook.audit").joinpath("templates", _STYLE).read_text("utf-8")
    html = _TEMPLATES.get_template("cover.html.jinja").render(
        manifest=manifest,
        asker=user_named(manifest["requested_by"]) or manifest["requested_by"],
        contents=[(file, _HELD[file["name"]]) for file in listed],
        times={
            name: datetime.fromisoformat(manifest[name])
            for name in ("requested_at", "recorded_from", "recorded_before")
        },
        checkpoint_keys=checkpoint_keys,
        sealed_by=sealed_by,
        verification=verification,
        wordings=[Wording(language) for language in Language],
        names=OWN_NAMES,
        command=VERIFY_PACK % manifest["export_id"],
        style=Markup(custom_properties(":root", {}) + own_style),  # noqa: S704 - our own style
    )
    return html.encode("utf-8")


_TEMPLATES = templates_of("sat_hook.audit")

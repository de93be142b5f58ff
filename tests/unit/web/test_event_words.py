"""Events of the log in people's words, and their members as rows of a table."""

from __future__ import annotations

import enum
import re
import typing
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel

from sat_hook.application.order_details import HistoryEntry
from sat_hook.application.rights import Right
from sat_hook.audit.actions import ActionKind
from sat_hook.audit.findings import FindingKind
from sat_hook.domain.event_record import StreamId, StreamKind, registered_events
from sat_hook.domain.event_types import TYPES_OF_STREAMS
from sat_hook.web.console import event_words
from sat_hook.web.console.audit_log import RIGHTS
from sat_hook.web.console.break_words import WHAT
from sat_hook.web.console.code_words import PROBLEMS, code_words, way_of
from sat_hook.web.console.event_words import OTHER_EVENTS, Member, members_of, sentence_of, type_text
from sat_hook.web.console.language import Language, Wording
from sat_hook.web.console.member_words import MEMBERS
from sat_hook.web.console.site import environment_of

INDONESIAN, ENGLISH = Wording(Language.INDONESIAN), Wording(Language.ENGLISH)
TYPES = {name for name, _ in registered_events()}
VALUES: dict[str, Any] = {
    "day": "2026-11-30",
    "starts_at": "2026-11-30T13:00:00+00:00",
    "recorded_from": "2026-11-01T00:00:00Z",
    "recorded_before": "2026-11-30T00:00:00Z",
}


def entry(kind: str, **parameters: Any) -> HistoryEntry:
    """An event of a history."""
    at = datetime(2026, 11, 30, 5, tzinfo=UTC)
    return HistoryEntry(
        position=7, version=1, kind=kind, at=at, actor="user:a", cause="", parameters=parameters, digest="d"
    )


def test_every_type_of_event_has_words_and_a_stream() -> None:
    """A new type cannot leave the log's page without a sentence, or the filter without it."""
    assert set(event_words.EVENTS) == TYPES
    assert {name for names in TYPES_OF_STREAMS.values() for name in names} == TYPES
    assert set(event_words.STREAMS) == set(StreamKind)
    assert set(event_words.TABLES) == set(ActionKind)
    assert set(RIGHTS) == set(Right)


@pytest.mark.parametrize("kind", StreamKind)
def test_an_event_of_any_stream_says_what_it_is_about(kind: StreamKind) -> None:
    """Also one without members, order, file and account, as an acknowledgement of alerts is."""
    parts = environment_of(Language.ENGLISH).get_template("audit_parts.html.jinja").module
    about = SimpleNamespace(order_id=None, file_name=None, account=None)
    event = SimpleNamespace(
        subject=about, stream=StreamId(kind, "x"), user="", entry=entry("AlertsAcknowledged")
    )
    assert re.sub("<[^>]*>", "", parts.subject(event)).strip()


def test_every_member_has_a_name() -> None:
    """Of every event, in people's words."""
    members = {member for kind in registered_events().values() for member in kind.model_fields}
    assert members - set(MEMBERS) == set()


@pytest.mark.parametrize("kind", sorted(OTHER_EVENTS))
def test_a_member_in_a_sentence_is_one_of_the_event(kind: str) -> None:
    """So no sentence ends in a dash; without members it has dots."""
    event = max((version, of) for (name, version), of in registered_events().items() if name == kind)[1]
    members = {**dict.fromkeys(event.model_fields, "x"), **VALUES}
    numbers = {name: 5 for name in members if name.endswith("_rupiah")}
    for wording in (ENGLISH, INDONESIAN):
        said = sentence_of(entry(kind, **members | numbers), wording).text
        assert "–" not in said
        assert "%(" not in said + type_text(kind, wording)


def test_an_event_of_a_later_release_is_shown_by_its_type() -> None:
    """Its members are rows all the same."""
    assert sentence_of(entry("MoonPhaseSeen"), ENGLISH).text == "MoonPhaseSeen"
    assert type_text("MoonPhaseSeen", ENGLISH) == "MoonPhaseSeen"
    assert list(members_of(entry("MoonPhaseSeen", moon_phase=3), ENGLISH)) == [Member("moon phase", "3")]


def test_members_are_rows_of_people_s_words() -> None:
    """Money, times, days, answers, parts of parts, and lists of things as tables."""
    parameters = {
        "total_rupiah": 1250000,
        "decided_at": "2026-11-30T05:04:00Z",
        "day": "2026-11-30",
        "is_signed": True,
        "reason": None,
        "terms": {"orders": 1200, "digest": "abc"},
        "rows": [[1, 3], [7, 7]],
        "adjusted_days": {},
        "reference": "2026-11-30",
        "set_aside": [{"row_number": 3, "code": "x"}] * 101,
    }
    rows = {member.name: member for member in members_of(entry("OrderReceived", **parameters), ENGLISH)}
    assert rows["total"].value == "Rp\u00a01,250,000"
    assert rows["decided at"].value == "30 Nov 2026 12:04\u00a0WIB"
    assert rows["day"].value == "30 Nov 2026"
    assert (rows["signed by SAT"].value, rows["reason"].value) == ("yes", "–")
    assert rows["what is asked for · orders"].value == "1,200"
    assert rows["rows"].value == "1–3, 7"
    assert rows["days that are adjusted"].value == "–"
    assert rows["reference"].value == "2026-11-30"
    listed = rows["rows set aside"]
    assert (listed.value, listed.heads, listed.lines[0]) == ("101", ("row", "code"), ("3", "x"))
    assert (len(listed.lines), listed.beyond) == (100, 1)


def _codes(kind: str, name: str, of: Any) -> Iterator[tuple[str, str, str]]:
    """The codes that a member of an event may hold, also in its parts: the event, the member, the code."""
    if isinstance(of, type) and issubclass(of, enum.Enum):
        yield from ((kind, name, one.value) for one in of)
    elif typing.get_origin(of) is typing.Literal:
        yield from ((kind, name, one) for one in typing.get_args(of))
    elif isinstance(of, type) and issubclass(of, BaseModel):
        for inner, field in of.model_fields.items():
            yield from _codes(kind, inner, field.annotation)
    for part in typing.get_args(of):
        yield from _codes(kind, name, part)


def test_every_problem_of_a_verification_has_words() -> None:
    """An auditor reads what is wrong with the log, and not ``published_beyond``."""
    assert set(PROBLEMS) == set(FindingKind)


def test_every_code_of_an_event_has_words() -> None:
    """So no page shows ``own_batch`` or ``settlement`` in a sentence, in either language."""
    codes = {
        code
        for (kind, _), event in registered_events().items()
        for name, field in event.model_fields.items()
        for code in _codes(kind, name, field.annotation)
    }
    assert len(codes) > 50
    assert sorted(code for code in codes if code_words(*code, INDONESIAN) is None) == []


def test_codes_are_words_in_sentences_and_in_tables() -> None:
    """A recorded English message gives way to the words for its code; a person's own text stays."""
    refused = entry("BatchRefused", code="withdrawn", message="withdrawn: Pemenang diganti")
    assert sentence_of(refused, INDONESIAN).text == "Seluruh batch ditolak: Batch ini ditarik."
    aside = entry("SettlementSetAside", name="a.csv", cause="undecided", reason="found two")
    assert "undecided" not in sentence_of(aside, INDONESIAN).text
    rows = {one.name: one for one in members_of(entry("ApprovalRefused", reason="own_batch"), INDONESIAN)}
    assert rows["alasan"].value == "batch itu diajukan oleh orang yang menyetujui"
    listed = members_of(entry("RowsTakenIn", set_aside=[{"verdict": "refused"}]), INDONESIAN)
    assert [one.lines for one in listed] == [(("tidak diterima",),)]
    broken = entry("BreaksRecorded", breaks=[{"what": WHAT[0], "ours": "failed", "theirs": "succeeded"}])
    [found] = members_of(broken, INDONESIAN)
    assert found.lines == (("sebuah baris berkas settlement tidak bisa dicocokkan", "gagal", "berhasil"),)
    paused = entry("AccountPaused", reason="limit")
    assert sentence_of(paused, ENGLISH).text == "Paused the account: limit"


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        ("plugin:sign-in", "konsol atau API"),
        ("plugin:release:DABC", "satu keputusan atas banyak pesanan"),
        (
            "answer at 2026-11-30T05:00:00Z to task bulk_disbursement.approve run r try 1",
            "jawaban di Airflow",
        ),
        ("task nightly_reconciliation.close[2] run manual__1 try 2", "run nightly_reconciliation"),
        ("task bulk_disbursement/batch_B", "run bulk_disbursement"),
        ("callback", "callback dari SAT"),
        ("poll of account demo", "jawaban SAT atas pertanyaan"),
        ("of a later release", "of a later release"),
    ],
)
def test_the_way_of_an_act_is_in_words(cause: str, said: str) -> None:
    """The page of who did what says by what means; the event's own page also shows the recorded cause."""
    assert way_of(cause, INDONESIAN) == said

"""The members of events: their names in people's words, and their values as a language writes them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from sat_hook.web.console.code_words import PROBLEMS, code_words
from sat_hook.web.console.language import Wording
from sat_hook.web.console.language import marked as _

UNKNOWN = "–"

MEMBERS: Mapping[str, str] = {
    "account": _("account"),
    "actor": _("by"),
    "adjusted_days": _("days that are adjusted"),
    "admin_fee_rupiah": _("admin fee"),
    "admitted": _("within the limits"),
    "admitted_rupiah": _("amount within the limits"),
    "accounts": _("accounts"),
    "first_position": _("first position"),
    "last_position": _("last position"),
    "messages": _("messages"),
    "moved_events": _("events that left the database"),
    "partition": _("partition of the log"),
    "recorded_to": _("last recorded at"),
    "topics": _("what it is told of"),
    "url": _("address"),
    "alerts": _("alerts"),
    "amount_rupiah": _("amount"),
    "approval_over_rupiah": _("approval over"),
    "approval_right": _("right to approve"),
    "approver": _("approver"),
    "asked_at": _("asked at"),
    "assignee": _("person who works on it"),
    "attempt": _("attempt"),
    "available_rupiah": _("available"),
    "batch_id": _("batch id"),
    "batch_limit_orders": _("orders of a batch at most"),
    "batch_limit_rupiah": _("amount of a batch at most"),
    "began_at": _("began at"),
    "body": _("request to SAT"),
    "break_id": _("break id"),
    "breaks": _("breaks"),
    "category": _("category"),
    "cause": _("cause"),
    "content": _("content"),
    "criteria": _("filter"),
    "earlier_batch_id": _("earlier batch"),
    "facts": _("facts"),
    "file_format": _("file format"),
    "cell_after": _("cell afterwards"),
    "cell_before": _("cell before"),
    "cell_changes": _("changed cells"),
    "changed_at": _("changed at"),
    "changed_by": _("changed by"),
    "changes": _("changes"),
    "changes_digest": _("digest of the changes"),
    "charged_rupiah": _("charged"),
    "checkpoint": _("checkpoint"),
    "checkpoints": _("checkpoints"),
    "client": _("client of SAT (digest)"),
    "client_number": _("client number"),
    "closed_position": _("verified up to position"),
    "closing_observed_at": _("closing saldo looked at"),
    "closing_rupiah": _("closing saldo"),
    "code": _("code"),
    "column": _("column"),
    "columns": _("columns"),
    "compared_with": _("compared with the look at"),
    "confirmed_by": _("confirmed by"),
    "connection": _("Airflow connection"),
    "counts": _("orders by state"),
    "covered_position": _("covered by checkpoints up to position"),
    "credited_at": _("credited at"),
    "cut_off_minutes": _("minutes after midnight of the cut-off"),
    "day": _("day"),
    "day_limit_orders": _("orders of a day at most"),
    "day_limit_rupiah": _("amount of a day at most"),
    "debits_rupiah": _("debits"),
    "decided_at": _("decided at"),
    "declined_by": _("declined by"),
    "dedup_horizon_hours": _("hours in which an order may be sent again"),
    "detail": _("detail"),
    "digest": _("digest"),
    "downline_id": _("downline"),
    "duplicate_days": _("days in which a repeat is held"),
    "error_code": _("SAT's error code"),
    "error_detail": _("SAT's words"),
    "estimate_rupiah": _("estimate"),
    "events": _("events"),
    "evidence": _("evidence"),
    "evidence_digest": _("digest of the signed status"),
    "expected_rupiah": _("expected"),
    "fields": _("fields of the order"),
    "file_name": _("file name"),
    "findings": _("problems by kind"),
    "first_checkpoint": _("first checkpoint"),
    "first_row": _("first row"),
    "first_seen": _("first seen"),
    "found": _("found"),
    "found_rupiah": _("amount found"),
    "fulfilled_at": _("fulfilled at"),
    "given_rights": _("rights given"),
    "held": _("held orders among them"),
    "held_as_duplicates": _("held as duplicates"),
    "held_over_limits": _("held because of a limit"),
    "held_rows": _("rows that stay held"),
    "holder": _("holder"),
    "holder_changes": _("changes of holders"),
    "holder_kind": _("kind of holder"),
    "holders": _("holders of rights"),
    "http_status": _("HTTP status"),
    "in_transit_closing_rupiah": _("in transit at the end"),
    "in_transit_opening_rupiah": _("in transit at the beginning"),
    "included_before": _("debits included before"),
    "is_adjustment": _("adjustment of an earlier day"),
    "is_everything": _("everything"),
    "is_given": _("given"),
    "is_inquiry": _("asked for each order"),
    "is_signed": _("signed by SAT"),
    "key_ids": _("trusted keys"),
    "known_batch_id": _("batch of the same order"),
    "known_request_id": _("the same order"),
    "last_checkpoint": _("last checkpoint"),
    "last_row": _("last row"),
    "left_orders": _("orders left"),
    "left_out": _("rows left out"),
    "left_rupiah": _("amount left"),
    "list_price_rupiah": _("list price"),
    "listed": _("listed products"),
    "mapping": _("how the file is read"),
    "match": _("compared with"),
    "max_rupiah": _("most that the row allows"),
    "member": _("field of SAT's answer"),
    "members": _("what differs"),
    "message": _("message"),
    "name": _("name"),
    "note": _("note"),
    "observed_at": _("looked at"),
    "open_breaks": _("open breaks"),
    "opening_observed_at": _("opening saldo looked at"),
    "opening_rupiah": _("opening saldo"),
    "order_id": _("order id"),
    "order_limit_rupiah": _("amount of an order at most"),
    "orders": _("orders"),
    "ours": _("ours"),
    "parameters": _("parameters of the run"),
    "partner_fee_rupiah": _("our commission"),
    "payload_digest": _("digest of what was ordered"),
    "persons": _("people who must sign"),
    "place": _("column of the upload"),
    "policy": _("when the deposit is short"),
    "position": _("position in the log"),
    "price_rupiah": _("price"),
    "product_code": _("product code"),
    "proposal": _("proposal"),
    "proposed_by": _("proposed by"),
    "published_checkpoint": _("published copy of checkpoint"),
    "quote_rupiah": _("quote"),
    "quoted": _("priced orders"),
    "quotes_digest": _("digest of the quotes"),
    "reason": _("reason"),
    "received_at": _("received at"),
    "recorded_before": _("until before"),
    "recorded_from": _("from"),
    "reference": _("reference"),
    "refunds_rupiah": _("refunds"),
    "rejected": _("orders that do not fit"),
    "rejecter": _("rejected by"),
    "renewed": _("renewed reservations"),
    "replaces_earlier": _("replaces earlier files"),
    "reported_status": _("status by SAT"),
    "request_id": _("request id"),
    "requested_at": _("asked for at"),
    "response_digest": _("digest of SAT's answer"),
    "rest": _("what is left"),
    "result_digest": _("digest of the result"),
    "right": _("right"),
    "rights": _("rights"),
    "rivals": _("files that count until then"),
    "roles": _("roles"),
    "row_number": _("row"),
    "rows": _("rows"),
    "rules": _("rules of the run"),
    "run": _("run in Airflow"),
    "saldo": _("saldo equation"),
    "saldo_rupiah": _("saldo"),
    "sales_price_rupiah": _("price charged by SAT"),
    "second_approval_over_rupiah": _("second approval over"),
    "second_approval_right": _("right to approve second"),
    "send_before": _("send before"),
    "session": _("session (digest)"),
    "set_aside": _("rows set aside"),
    "settled_after": _("open to others after"),
    "shown": _("what was shown"),
    "size_bytes": _("bytes"),
    "snapshot_id": _("price list number"),
    "source": _("source"),
    "spool_uri": _("stored at"),
    "starts_at": _("starts at"),
    "state": _("state"),
    "state_digest": _("digest of the whole list"),
    "statuses_checked": _("signed statuses compared"),
    "streams": _("streams"),
    "subject": _("subject"),
    "taken_rights": _("rights taken away"),
    "tally": _("result of the check"),
    "terms": _("what is asked for"),
    "theirs": _("theirs"),
    "third_approval_over_rupiah": _("third approval over"),
    "third_approval_right": _("right to approve third"),
    "title": _("title"),
    "top_ups_rupiah": _("top-ups"),
    "total_rupiah": _("total"),
    "trust_callbacks": _("a signed callback may end an order"),
    "uncovered_events": _("events without a checkpoint"),
    "unexplained_rupiah": _("unexplained"),
    "unsent": _("orders not sent"),
    "up_to_row": _("up to row"),
    "upload_bytes": _("bytes of the upload"),
    "upload_digest": _("digest of the upload"),
    "upload_format": _("format of the upload"),
    "upload_name": _("uploaded file"),
    "uri": _("stored as"),
    "user": _("user"),
    "valid": _("orders that fit"),
    "valid_until": _("valid until"),
    "values": _("rules"),
    "verdict": _("verdict"),
    "what": _("what"),
    "with_personal_data": _("with personal data"),
}

_TIMES = frozenset(
    {
        "compared_with",
        "included_before",
        "recorded_before",
        "recorded_from",
        "send_before",
        "settled_after",
        "valid_until",
    }
)
_DAYS = frozenset({"day", "first_seen"})


def name_of(name: str, wording: Wording) -> str:
    """A member's name in the person's language; as the log has it where there are no words for it."""
    words = MEMBERS.get(name) or PROBLEMS.get(name)
    return name.replace("_", " ") if words is None else wording.text(words)


def value_text(name: str, value: Any, wording: Wording, kind: str = "") -> str:
    """A member's value: codes in words, money, times and numbers as the language has them; a dash for none.

    :param kind: the event's type.
    """
    if value is None or value in ("", [], {}):
        return UNKNOWN
    if isinstance(value, bool):
        return wording.text(_("yes")) if value else wording.text(_("no"))
    if isinstance(value, int):
        return wording.rupiah(value) if name.endswith("_rupiah") else wording.number(value)
    if isinstance(value, list) and all(isinstance(item, list) and len(item) == 2 for item in value):
        # Ranges of rows; both ends belong to a range.
        return ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in value)
    if isinstance(value, list):
        return ", ".join(value_text(name, item, wording, kind) for item in value)
    if isinstance(value, Mapping):
        parts = (
            f"{name_of(key, wording)} {value_text(key, part, wording, kind)}" for key, part in value.items()
        )
        return ", ".join(parts)
    if name in _DAYS:
        return wording.day(date.fromisoformat(value))
    if name in _TIMES or name.endswith("_at"):
        return wording.time(datetime.fromisoformat(value))
    return code_words(kind, name, str(value), wording) or str(value)

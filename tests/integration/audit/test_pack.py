"""An evidence pack: what is in it, what is masked, and that its own verifier finds whatever was altered."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from sat_hook.audit import checkpoints
from sat_hook.audit.checkpoint_verification import Trust
from sat_hook.audit.errors import ExportNotFoundError, ExportRefusedError
from sat_hook.audit.exports import hand_out, load_export, record_written, request_export
from sat_hook.audit.keys import AuditSigner, AuditVerifier, new_audit_key
from sat_hook.audit.log_verification import record_verification, verify_log
from sat_hook.audit.pack import PackWriter
from sat_hook.audit.rebuild import compare_projections
from sat_hook.commands.aggregates import RIGHTS
from sat_hook.commands.errors import OverrideRefusedError
from sat_hook.commands.handler import CommandHandler
from sat_hook.domain.event_record import Provenance, StreamId, StreamKind
from sat_hook.domain.export import ExportWritten
from sat_hook.domain.identity import rights_id
from sat_hook.domain.rights_seen import RightsSource, SeeRights, holders_in
from sat_hook.store.database import Database
from tests.integration.audit.damage import ORDERS, PROOF, Found, damage
from tests.integration.audit.desk import ASKER, Desk, beside_the_log, lines_of, rewritten
from tests.orders import ManualClock

BY_TASK = Provenance("service:airflow", "task")
CLIENT_NUMBER = re.compile(r"08121\d{6}")
"""A customer's number, which no digest holds by chance."""


def test_a_masked_pack_is_whole_and_shows_no_customer(desk: Desk) -> None:
    """Everything that the manifest says is verified offline; no customer's number is in any file."""
    beside_the_log(desk.notary.database)
    desk.notary.clock = ManualClock(datetime.now(UTC))
    export = desk.ask()
    pack, written = desk.write(export)
    verified = desk.verify(pack, "--published", str(desk.notary.folder))
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert f"{written.events} events ({ORDERS + 1} masked)" in verified.stdout
    with zipfile.ZipFile(pack) as opened:
        everything = {name: opened.read(name).decode() for name in opened.namelist()}
    assert [name for name, text in everything.items() if CLIENT_NUMBER.search(text)] == []
    assert not any("body_base64" in text for name, text in everything.items() if name.endswith(".jsonl"))
    manifest = json.loads(everything["manifest.json"])
    assert (manifest["requested_by"], manifest["with_personal_data"]) == ("user:alice", False)
    received = [event for event in lines_of(pack, "events.jsonl") if event["type"] == "OrderReceived"]
    assert {json.loads(event["data"])["client_number"] for event in received} == {"***"}
    assert all(event["masked"] and len(event["digest"]) == 64 for event in received)
    assert "user:bob" in everything["overrides.csv"]
    assert "user:alice" in everything["exports.csv"]
    assert lines_of(pack, "deposits.jsonl")[0]["observation"]["saldo_rupiah"] == 100
    assert lines_of(pack, "price_snapshots.jsonl")[0]["snapshot"]["changes"] == 1
    [change] = lines_of(pack, "price_changes.jsonl")
    assert (change["product_code"], change["change"]["price_rupiah"]) == ("25k-xl", 26000)
    assert len(lines_of(pack, "callbacks.jsonl")) == len(lines_of(pack, "signed_statuses.jsonl")) == 1


def test_a_pack_with_personal_data_has_the_bytes(desk: Desk) -> None:
    """On a reason, which is recorded; every digest is then made again, those of signed texts, too."""
    with pytest.raises(OverrideRefusedError, match="reason"):
        desk.ask(personal=True)
    export = desk.ask(personal=True, reason="dispute with a customer")
    pack, _ = desk.write(export)
    verified = desk.verify(pack)
    assert verified.returncode == 0, verified.stdout
    assert "(0 masked)" in verified.stdout
    with zipfile.ZipFile(pack) as opened:
        assert CLIENT_NUMBER.search(opened.read("events.jsonl").decode())
        assert json.loads(opened.read("manifest.json"))["reason"] == "dispute with a customer"
    assert lines_of(pack, "signed_statuses.jsonl")[0]["body_base64"]
    asked = desk.store.read_stream(StreamId(StreamKind.EXPORT, export.export_id))[0]
    assert asked.provenance == ASKER
    assert json.loads(asked.data)["reason"] == "dispute with a customer"


def test_no_table_of_a_pack_runs_as_a_formula(desk: Desk) -> None:
    """Whatever a spreadsheet splits it at; the pack's own script knows the event all the same."""
    pack, _ = desk.write(desk.ask(personal=True, reason="ticket 5;=HYPERLINK(1)\t@SUM(1)"))
    with zipfile.ZipFile(pack) as opened:
        text = opened.read("exports.csv").decode()
    assert "HYPERLINK" in text
    for mark in ",;\t":
        cells = [cell for row in csv.reader(io.StringIO(text), delimiter=mark) for cell in row]
        assert not [cell for cell in cells if cell.lstrip(' "')[:1] in tuple("=+-@")]
    found = desk.verify(pack)
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_reason_of_a_masked_pack_is_masked_too(desk: Desk) -> None:
    """The requester may quote a customer's number; it then is in the log only."""
    pack, _ = desk.write(desk.ask(reason="081211311111 asks for it"))
    with zipfile.ZipFile(pack) as opened:
        everything = {name: opened.read(name).decode() for name in opened.namelist()}
    assert [name for name, text in everything.items() if CLIENT_NUMBER.search(text)] == []
    assert json.loads(everything["manifest.json"])["reason"] == "*** asks for it"


def test_a_pack_says_who_had_which_right(desk: Desk) -> None:
    """As the rights stood before its first event and after each change; every holder is bound to the log."""

    def see(**users: tuple[str, ...]) -> None:
        holders = holders_in({right: (names, ()) for right, names in users.items()})
        CommandHandler(desk.store, desk.notary.clock).apply_to(
            RIGHTS, rights_id(), SeeRights(RightsSource.FILE, holders), BY_TASK
        )

    see(audit=("audi",))
    desk.notary.make()
    since = datetime.now(UTC)
    see(audit=("dewi",), finance=("fina",))
    desk.notary.clock = ManualClock(datetime.now(UTC))
    export = request_export(
        desk.store,
        desk.notary.clock,
        recorded_from=since,
        recorded_before=since + timedelta(days=1),
        with_personal_data=False,
        reason="",
        provenance=ASKER,
    )
    pack, _ = desk.write(export)
    verified = desk.verify(pack)
    assert verified.returncode == 0, verified.stdout
    assert "rights.jsonl says who had which right" in verified.stdout
    states = [[one["holder"] for one in row["holders"]] for row in lines_of(pack, "rights.jsonl")]
    assert states == [["audi"], ["dewi", "fina"]]
    for old, new, says in (
        (b"fina", b"eve", "says other rights than the events of the pack"),
        (b'audi"', b'eve"', "says other rights before position"),
        (b'"holder"', b'"whom"', "says no rights"),
    ):
        altered = rewritten(pack, "rights.jsonl", line_replaced(old, new), desk.notary.signer)
        found = desk.verify(altered)
        assert (found.returncode, f"rights.jsonl: {says}" in found.stdout.replace(" line 1", "")) == (1, True)
    left_out = rewritten(pack, "rights.jsonl", lambda text: text.split(b"\n", 1)[1], desk.notary.signer)
    assert "says other rights before position" in desk.verify(left_out).stdout


def line_replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    """A file with other words."""
    return lambda content: content.replace(old, new)


def test_the_same_export_gives_the_same_bytes(desk: Desk) -> None:
    """A task that is run again writes the same pack, also when the log has grown."""
    export = desk.ask()
    _, first = desk.write(export)
    desk.notary.append(60, 9)
    again, second = desk.write(export, "again.zip")
    assert second == first
    assert hashlib.sha256(again.read_bytes()).hexdigest() == first.digest


def test_whole_checkpoints_are_exported(desk: Desk) -> None:
    """So that each root can be made from the pack alone; the request itself is in the last one."""
    export = desk.ask()
    pack, written = desk.write(export)
    texts = [json.loads(line["document"]) for line in lines_of(pack, "checkpoints.jsonl")]
    positions = [event["position"] for event in lines_of(pack, "events.jsonl")]
    assert positions == list(range(texts[0]["first_position"], texts[-1]["last_position"] + 1))
    assert (written.first_checkpoint, written.last_checkpoint) == (1, len(texts))


def test_a_period_without_events_is_an_empty_pack(desk: Desk) -> None:
    """That nothing happened can be shown, too, as far as the exporter's word goes."""
    export = request_export(
        desk.store,
        desk.notary.clock,
        recorded_from=datetime.now(UTC) - timedelta(days=900),
        recorded_before=datetime.now(UTC) - timedelta(days=800),
        with_personal_data=False,
        reason="",
        provenance=ASKER,
    )
    pack, written = desk.write(export)
    assert written.events == 0
    assert "no event in the period" in desk.verify(pack).stdout


def line_changed(number: int, old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    """Replace in one line."""

    def change(content: bytes) -> bytes:
        lines = content.splitlines(keepends=True)
        assert old in lines[number]
        lines[number] = lines[number].replace(old, new)
        return b"".join(lines)

    return change


def without_line(content: bytes) -> bytes:
    """The file without its sixth line."""
    lines = content.splitlines(keepends=True)
    return b"".join(lines[:5] + lines[6:])


def without_second_line(content: bytes) -> bytes:
    """The file without its second line."""
    lines = content.splitlines(keepends=True)
    return b"".join(lines[:1] + lines[2:])


def swapped(content: bytes) -> bytes:
    """Two lines changed places."""
    lines = content.splitlines(keepends=True)
    lines[5], lines[6] = lines[6], lines[5]
    return b"".join(lines)


def doubled(content: bytes) -> bytes:
    """A line is there twice."""
    lines = content.splitlines(keepends=True)
    return b"".join(lines[:6] + lines[5:])


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("events.jsonl", line_changed(5, b"test", b"eve"), "event at position 6"),
        ("events.jsonl", without_line, "positions 5 to 8: 3 events than the 4"),
        ("events.jsonl", swapped, "event at position 6: stands after position 7"),
        ("events.jsonl", doubled, "positions 5 to 8: 5 events than the 4"),
        ("checkpoints.jsonl", line_changed(1, b'\\"events\\":4', b'\\"events\\":3'), "checkpoint 2"),
        ("checkpoints.jsonl", without_second_line, "checkpoint 3 (positions 9 to 12): does not follow"),
        ("manifest.json", line_changed(2, b"X", b"Y"), "manifest.json: the signature is not one of"),
        ("actions.csv", lambda content: content + b"more", "actions.csv: is not the file"),
        ("overrides.csv", lambda _: None, "overrides.csv: is in the manifest and not in the pack"),
        ("verify.py", lambda content: content + b"\n", "verify.py: is not the file"),
        ("signed_statuses.jsonl", line_changed(0, PROOF.digest[:9].encode(), b"000000000"), "line 1: other"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_whatever_is_altered_is_found(
    desk: Desk, name: str, change: Callable[[bytes], bytes | None], says: str
) -> None:
    """And located, in each file."""
    pack, _ = desk.write(desk.ask(personal=True, reason="an exercise"))
    altered = rewritten(pack, name, change)
    found = desk.verify(altered)
    assert found.returncode == 1, found.stderr
    assert says in found.stdout


def test_the_cover_is_read_by_people_and_by_the_verifier(desk: Desk) -> None:
    """Both languages name who asked, why, the last verification and every digest; nothing in it runs."""
    whole = Trust(AuditVerifier([desk.notary.signer.public_key_pem()]))
    with closing(Database(desk.notary.database.owner_dsn)) as owner:
        verified = verify_log(owner, Found(), whole)
    handler = CommandHandler(desk.store, desk.notary.clock)
    record_verification(handler, verified, whole, desk.notary.clock.now(), BY_TASK, is_everything=True)
    pack, _ = desk.write(desk.ask(personal=True, reason='for <script>alert(1)</script> & "us"'))
    with zipfile.ZipFile(pack) as opened:
        cover = opened.read("cover.html").decode()
        named = {file["name"]: file["sha256"] for file in json.loads(opened.read("manifest.json"))["files"]}
    assert "<script" not in cover
    del named["cover.html"]
    assert [cover.count(f'value="{name}">{digest}<') for name, digest in named.items()] == [2] * len(named)
    assert "Diminta oleh" in cover
    assert "Asked for by" in cover
    assert "No problem was found." in cover
    for role in ("checkpoint_key", "sealed_by", "verified_with"):
        assert cover.count(f'<data class="{role}" value="{desk.notary.signer.key_id}">') == 2
    found = desk.verify(pack)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "cover.html says what the manifest and the events say" in found.stdout


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b">user:alice<", b">user:bob<", "says user:bob as requested_by; expected user:alice"),
        (b">an exercise<", b"><", "says nothing as reason; expected an exercise"),
        (b'class="digest" value="verify.py">', b'class="digest" value="verify.py">0', "as digest verify.py"),
        (b'<data class="digest" value="events.jsonl">', b"<data>", "says nothing as digest events.jsonl"),
        (b'class="events" value="">', b'class="events" value="">1', "as events; expected"),
        (b'<data class="sealed_by"', b'<data class="checkpoint_key"', "says nothing as sealed_by"),
        (b"</h1>", b'</h1><data class="reason" value="">all is well</data>', "says all is well, an exercise"),
    ],
)
def test_a_cover_that_says_something_else_is_found(desk: Desk, old: bytes, new: bytes, says: str) -> None:
    """Even when the owner of the audit key signs it."""
    pack, _ = desk.write(desk.ask(personal=True, reason="an exercise"))
    signer = desk.notary.signer
    altered = rewritten(pack, "cover.html", lambda content: content.replace(old, new), signer)
    found = desk.verify(altered)
    assert found.returncode == 1, found.stderr
    assert says in found.stdout


def test_a_pack_of_an_earlier_release_has_no_cover(desk: Desk) -> None:
    """It is whole all the same, and no cover is said to be verified."""
    pack, _ = desk.write(desk.ask())
    found = desk.verify(rewritten(pack, "cover.html", lambda _: None, desk.notary.signer))
    assert found.returncode == 0, found.stdout
    assert "cover.html" not in found.stdout


def test_an_event_that_was_dated_back_is_told(desk: Desk) -> None:
    """A person who may insert events can choose their time; the position shows when they came."""
    newest = "WHERE position = (SELECT max(position) FROM sat.events)"
    damage(
        desk.notary.database, f"UPDATE sat.events SET recorded_at = recorded_at - interval '30 days' {newest}"
    )
    pack, _ = desk.write(desk.ask())
    found = desk.verify(pack)
    assert found.returncode == 0, found.stdout
    assert "it was added later, or a clock was set back" in found.stdout


def test_a_file_that_is_not_in_the_manifest_is_found(desk: Desk) -> None:
    """Nothing can be slipped in."""
    pack, _ = desk.write(desk.ask())
    with zipfile.ZipFile(pack, "a") as opened:
        opened.writestr("approvals2.csv", "user:eve approved")
    assert "approvals2.csv: is not in the manifest" in desk.verify(pack).stdout


def test_another_key_proves_nothing(desk: Desk) -> None:
    """A pack signed with another key is not believed, even if it is consistent."""
    export = desk.ask()
    desk.notary.make()
    eve = AuditSigner(new_audit_key()[0])
    path = desk.folder / "eve.zip"
    PackWriter(desk.store.database, export, "user:alice", eve).write(path)
    found = desk.verify(path)
    assert found.returncode == 1
    assert f"manifest.json: signed with key {eve.key_id}" in found.stdout


def test_what_was_published_otherwise_is_found(desk: Desk) -> None:
    """The copies are compared, where the auditor has them."""
    pack, _ = desk.write(desk.ask())
    copy = desk.notary.folder / checkpoints.name_of(2)
    copy.write_bytes(copy.read_bytes().replace(b"sat-checkpoint-1", b"sat-checkpoint-2"))
    found = desk.verify(pack, "--published", str(desk.notary.folder))
    assert "checkpoint 2: was published with other contents" in found.stdout


def test_what_is_no_pack_cannot_be_verified(desk: Desk) -> None:
    """Exit code 2, and no traceback."""
    pack, _ = desk.write(desk.ask())
    script = desk.verify(pack)
    assert script.returncode == 0
    empty = desk.folder / "empty.zip"
    zipfile.ZipFile(empty, "w").close()
    done = subprocess.run(
        [sys.executable, "-I", "verify.py", "--key", str(desk.public_key), str(empty)],
        capture_output=True,
        text=True,
        cwd=desk.folder,
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)


@pytest.mark.parametrize(
    ("hours_from", "hours_before"), [(0, -1), (1, 2), (-24 * 500, 0)], ids=["backwards", "future", "too long"]
)
def test_a_period_must_be_one(desk: Desk, hours_from: int, hours_before: int) -> None:
    """It has begun, ends after it begins, and is not endless."""
    with pytest.raises(ExportRefusedError, match="period"):
        request_export(
            desk.store,
            desk.notary.clock,
            recorded_from=datetime.now(UTC) + timedelta(hours=hours_from),
            recorded_before=datetime.now(UTC) + timedelta(hours=hours_before),
            with_personal_data=False,
            reason="",
            provenance=ASKER,
        )


def test_the_life_of_an_export_stands_in_the_log(desk: Desk) -> None:
    """Asked for, written once, handed out several times; and the log still folds."""
    export = desk.ask()
    with pytest.raises(ExportRefusedError, match="no pack yet"):
        hand_out(desk.store, desk.notary.clock, export.export_id, ASKER)
    written = ExportWritten(
        uri="file:///x", digest="0" * 64, size_bytes=1, events=1, first_checkpoint=1, last_checkpoint=1
    )
    for _ in range(2):
        record_written(desk.store, desk.notary.clock, export.export_id, written, BY_TASK)
    carol = Provenance("user:carol", "plugin:export")
    hand_out(desk.store, desk.notary.clock, export.export_id, carol)
    stream = desk.store.read_stream(StreamId(StreamKind.EXPORT, export.export_id))
    assert [recorded.type_name for recorded in stream] == [
        "ExportRequested",
        "ExportWritten",
        "ExportHandedOut",
    ]
    assert [recorded.provenance.actor for recorded in stream][2] == "user:carol"
    assert load_export(desk.store, export.export_id).handed_out == 1
    with pytest.raises(ExportNotFoundError):
        load_export(desk.store, "X" + "A" * 25)
    found = Found()
    with closing(Database(desk.notary.database.owner_dsn)) as owner:
        compare_projections(owner, found)
    assert found.findings == []


def test_personal_data_is_handed_to_who_gave_the_reason_alone(desk: Desk) -> None:
    """Another user who may export asks with their own reason, which is recorded as theirs."""
    export = desk.ask(personal=True, reason="dispute with a customer")
    written = ExportWritten(
        uri="file:///x", digest="0" * 64, size_bytes=1, events=1, first_checkpoint=1, last_checkpoint=1
    )
    record_written(desk.store, desk.notary.clock, export.export_id, written, BY_TASK)
    with pytest.raises(ExportRefusedError, match="user:carol"):
        hand_out(desk.store, desk.notary.clock, export.export_id, Provenance("user:carol", "plugin:export"))
    assert load_export(desk.store, export.export_id).handed_out == 0
    hand_out(desk.store, desk.notary.clock, export.export_id, ASKER)
    assert load_export(desk.store, export.export_id).handed_out == 1

"""Packs that lie although their signatures are good, and packs made to break their verification."""

from __future__ import annotations

import io
import json
import shutil
import struct
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from sat_hook.audit import checkpoints, pack_verifier
from sat_hook.audit.keys import AuditSigner, new_audit_key
from stack.databases import ApplicationDatabase
from tests.integration.audit.desk import Change, Desk, desk_of, lines_of, rewritten


class Verified(NamedTuple):
    """What the verifier said, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


@dataclass
class Packs:
    """A desk and what it wrote; the tests of this module alter copies."""

    desk: Desk
    masked: Path
    personal: Path

    def altered(self, name: str, change: Change, *, personal: bool = False, sign: bool = True) -> Path:
        """A pack with one file changed, under a signature that fits unless ``sign`` is False."""
        signer = self.desk.notary.signer if sign else None
        return rewritten(self.personal if personal else self.masked, name, change, signer)

    def verify(self, pack: Path, *options: str) -> Verified:
        """What the script does, in this process: an interpreter for each pack would take most of the time."""
        streams = [io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2)]
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(streams[0]), redirect_stderr(streams[1]):
            key = str(self.desk.public_key)
            patch.setattr(sys, "argv", ["verify.py", "--key", key, *options, str(pack)])
            code = pack_verifier.main()
        for stream in streams:
            stream.seek(0)
        return Verified(code, streams[0].read(), streams[1].read())

    def copy(self) -> Path:
        """The masked pack, to be damaged."""
        return Path(shutil.copy(self.masked, self.desk.folder / "copy.zip"))


@pytest.fixture(scope="module")
def packs(module_database: ApplicationDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Packs]:
    """One masked pack and one with personal data, of the same log."""
    with (
        pytest.MonkeyPatch.context() as patch,
        desk_of(module_database, tmp_path_factory.mktemp("desk")) as desk,
    ):
        patch.setattr(checkpoints, "MAXIMUM_EVENTS", 4)
        masked, _ = desk.write(desk.ask(), "masked.zip")
        personal, _ = desk.write(desk.ask(personal=True, reason="an exercise"), "personal.zip")
        yield Packs(desk, masked, personal)


def appended(line: bytes) -> Change:
    """One more line."""
    return lambda content: content + line


def replaced(old: bytes, new: bytes) -> Change:
    """Other words."""

    def change(content: bytes) -> bytes:
        assert old in content
        return content.replace(old, new)

    return change


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("overrides.csv", replaced(b"user:bob", b"user:eve"), "another row than the event at position"),
        ("overrides.csv", lambda content: content.splitlines(True)[0], "user:bob: in none of the tables"),
        ("overrides.csv", lambda _: None, "user:bob: in none of the tables"),
        (
            "approvals.csv",
            appended(b"3,2026-11-02T00:00:00.000000+00:00,user:eve,plugin:x,batch/B,1,BatchApproved,{}\r\n"),
            "approvals.csv: another row than the event at position 3",
        ),
        (
            "approvals.csv",
            appended(
                b"999,2026-11-02T00:00:00.000000+00:00,user:eve,plugin:x,batch/B,1,BatchApproved,{}\r\n"
            ),
            "approvals.csv: a row of position 999, where no event stands",
        ),
        ("approvals.csv", appended(b"soon,who,knows\r\n"), "approvals.csv: a row that is none"),
        (
            "signed_statuses.jsonl",
            appended(json.dumps({"digest": "a" * 64, "request_id": "S"}).encode() + b"\n"),
            "no event of the pack names this digest",
        ),
        ("signed_statuses.jsonl", lambda _: b"", "1 digests that events name are not here"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_beside_the_events_is_held_against_them(
    packs: Packs, name: str, change: Change, says: str
) -> None:
    """Tables that people read and signed texts are bound to the log, not only to the exporter's word."""
    found = packs.verify(packs.altered(name, change, personal=True))
    assert (found.returncode, found.stderr) == (1, "")
    assert says in found.stdout


def test_the_verifier_says_in_its_own_words_what_it_verified(packs: Packs) -> None:
    """The manifest is the exporter's: what stands in it is not repeated as if it had been verified."""
    boast = replaced(b'"can_be_verified": [', b'"can_be_verified": ["that nothing was ever paid twice",')
    found = packs.verify(packs.altered("manifest.json", boast))
    assert found.returncode == 0, found.stdout
    assert "paid twice" not in found.stdout
    assert "- the versions of every stream follow each other" in found.stdout
    assert "not compared with published checkpoints" in found.stdout


def test_an_unmasked_pack_has_no_masked_event(packs: Packs) -> None:
    """A masked pack that claims to be unmasked would have every text believed."""
    change = replaced(b'"with_personal_data": false', b'"with_personal_data": true')
    found = packs.verify(packs.altered("manifest.json", change))
    assert found.returncode == 1
    assert "masked events in a pack that says that it is not masked" in found.stdout


def without_checkpoint(desk: Desk, pack: Path, *, last: bool) -> Path:
    """The pack as an exporter would write it who leaves out the first or the last checkpoint."""
    documents = [json.loads(line["document"]) for line in lines_of(pack, "checkpoints.jsonl")]
    gone = documents[-1 if last else 0]
    kept = documents[:-1] if last else documents[1:]
    low, high = kept[0]["first_position"], kept[-1]["last_position"]

    def lines(content: bytes) -> bytes:
        chosen = content.splitlines(True)
        return b"".join(chosen[:-1] if last else chosen[1:])

    def events(content: bytes) -> bytes:
        return b"".join(
            line for line in content.splitlines(True) if low <= json.loads(line)["position"] <= high
        )

    pack = rewritten(pack, "checkpoints.jsonl", lines, desk.notary.signer)
    pack = pack.rename(pack.with_name("cut1.zip"))
    pack = rewritten(pack, "events.jsonl", events, desk.notary.signer)
    pack = pack.rename(pack.with_name("cut2.zip"))
    for number, table in enumerate(("overrides.csv", "exports.csv", "signed_statuses.jsonl", "actions.csv")):

        def rows(content: bytes) -> bytes:
            return b"".join(
                line
                for line in content.splitlines(True)
                if not line[:1].isdigit() or low <= int(line.partition(b",")[0]) <= high
            )

        pack = rewritten(pack, table, rows, desk.notary.signer)
        pack = pack.rename(pack.with_name(f"cut3-{number}.zip"))
    found = [json.loads(line) for line in zipfile.ZipFile(pack).read("events.jsonl").splitlines()]

    def manifest(content: bytes) -> bytes:
        members = json.loads(content)
        members["events"], members["masked_events"] = len(found), sum("masked" in event for event in found)
        members["covered"] = {
            "first_checkpoint": kept[0]["number"],
            "last_checkpoint": kept[-1]["number"],
            "first_position": low,
            "last_position": high,
            "previous": kept[0]["previous"],
        }
        return json.dumps(members).encode()

    assert gone["events"] > 0
    return rewritten(pack, "manifest.json", manifest, desk.notary.signer)


@pytest.mark.parametrize("last", [False, True], ids=["the first", "the last"])
def test_a_checkpoint_that_was_left_out_shows_where_they_are_published(desk: Desk, last: bool) -> None:
    """The exporter chooses the range, the period says what belongs to it."""
    export = desk.ask()
    desk.notary.append(50, 4)
    desk.notary.make()
    pack, _ = desk.write(export)
    honest = desk.verify(pack, "--published", str(desk.notary.folder))
    assert honest.returncode == 0, honest.stdout
    # A forger leaves the cover out, too: it names what was there.
    pack = rewritten(pack, "cover.html", lambda _: None, desk.notary.signer).rename(
        pack.with_name("bare.zip")
    )
    altered = without_checkpoint(desk, pack, last=last)
    assert desk.verify(altered).returncode == 0
    found = desk.verify(altered, "--published", str(desk.notary.folder))
    assert found.returncode == 1
    assert "holds something of the period and is left out" in found.stdout


def test_a_pack_that_says_that_nothing_happened_shows_where_they_are_published(packs: Packs) -> None:
    """An empty pack names no checkpoint, so all that were published are looked at."""
    desk, pack = packs.desk, packs.copy()
    pack = rewritten(pack, "cover.html", lambda _: None, desk.notary.signer).rename(
        pack.with_name("bare.zip")
    )

    def emptied(content: bytes) -> bytes:
        members = json.loads(content)
        members["covered"], members["events"], members["masked_events"] = None, 0, 0
        return json.dumps(members).encode()

    def header(content: bytes) -> bytes:
        return content.splitlines(True)[0]

    for number, name in enumerate(("checkpoints.jsonl", "events.jsonl", "signed_statuses.jsonl")):
        pack = rewritten(pack, name, lambda _: b"", desk.notary.signer)
        pack = pack.rename(pack.with_name(f"empty-{number}.zip"))
    for name in ("overrides.csv", "exports.csv", "actions.csv"):
        pack = rewritten(pack, name, header, desk.notary.signer)
        pack = pack.rename(pack.with_name(f"empty-{name}.zip"))
    pack = rewritten(pack, "manifest.json", emptied, desk.notary.signer)
    assert packs.verify(pack).returncode == 0
    found = packs.verify(pack, "--published", str(desk.notary.folder))
    assert found.returncode == 1
    assert "checkpoint 1: holds something of the period and is left out" in found.stdout


def test_a_changed_audit_key_needs_both_public_keys(desk: Desk) -> None:
    """A pack over checkpoints of two keys is proven by both, and by neither alone."""
    desk.notary.make()
    old = desk.folder / "old.pem"
    old.write_bytes(desk.notary.signer.public_key_pem())
    desk.notary.older.append(desk.notary.signer)
    desk.notary.signer = AuditSigner(new_audit_key()[0])
    pack, _ = desk.write(desk.ask())
    assert desk.verify(pack, "--key", str(old)).returncode == 0
    alone = desk.verify(pack)
    assert alone.returncode == 1
    assert "which was not given with --key" in alone.stdout


def broken_stream(pack: Path) -> None:
    """Bytes in the middle of the compressed events are others."""
    with zipfile.ZipFile(pack) as opened:
        entry = opened.getinfo("events.jsonl")
    content = bytearray(pack.read_bytes())
    name, extra = struct.unpack("<HH", content[entry.header_offset + 26 : entry.header_offset + 30])
    start = entry.header_offset + 30 + name + extra
    for place in range(start, start + 40):
        content[place] ^= 0xFF
    pack.write_bytes(content)


def encrypted(pack: Path) -> None:
    """The directory says that the events are encrypted."""
    content = bytearray(pack.read_bytes())
    place = content.rindex(b"events.jsonl") - 46
    content[place + 8] |= 1
    pack.write_bytes(content)


def unknown_compression(pack: Path) -> None:
    """The directory names an unknown method."""
    content = bytearray(pack.read_bytes())
    place = content.rindex(b"events.jsonl") - 46
    content[place + 10 : place + 12] = struct.pack("<H", 97)
    pack.write_bytes(content)


@pytest.mark.parametrize("damage", [broken_stream, encrypted, unknown_compression])
def test_a_damaged_zip_is_told_without_a_traceback(packs: Packs, damage: Callable[[Path], None]) -> None:
    """Whatever the zip's own format can have wrong."""
    pack = packs.copy()
    damage(pack)
    found = packs.verify(pack)
    assert (found.returncode, found.stderr) == (1, "")
    assert "events.jsonl: cannot be read" in found.stdout


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("files", None),
        ("files", [{"name": "events.jsonl"}]),
        ("files", [7]),
        ("covered", {"first_checkpoint": "one"}),
        ("covered", 7),
        ("events", "many"),
        ("recorded_from", "some day"),
    ],
)
def test_a_manifest_of_another_shape_cannot_be_verified(packs: Packs, member: str, value: object) -> None:
    """Exit code 2, and a sentence."""

    def change(content: bytes) -> bytes:
        return json.dumps({**json.loads(content), member: value}).encode()

    found = packs.verify(packs.altered("manifest.json", change, sign=False))
    assert (found.returncode, "Traceback" in found.stderr) == (2, False), found.stderr
    assert "manifest" in found.stderr


@pytest.mark.parametrize(
    "line",
    [b"[" * 200_000, b'{"position":1e999}', b'{"document":"{\\"number\\":\\"x\\"}"}', b"\xff", b"7"],
    ids=["deep", "endless", "text for number", "no text", "no object"],
)
@pytest.mark.parametrize("name", ["events.jsonl", "checkpoints.jsonl"])
def test_nonsense_in_a_line_is_told_without_a_traceback(packs: Packs, name: str, line: bytes) -> None:
    """A line each."""
    found = packs.verify(packs.altered(name, appended(line + b"\n")))
    assert (found.returncode, found.stderr) == (1, "")
    assert f"{name} line" in found.stdout


def test_a_member_of_endless_size_is_not_read(packs: Packs) -> None:
    """A small zip may hold a file that fills any memory and lasts for ever."""
    bomb = packs.desk.folder / "bomb.zip"
    with (
        zipfile.ZipFile(packs.masked) as old,
        zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, True, 1) as new,
    ):
        for entry in old.infolist():
            with new.open(entry.filename, "w") as member:
                member.write(old.read(entry))
                for _ in range(300 if entry.filename == "events.jsonl" else 0):
                    member.write(bytes(1 << 20))
    assert bomb.stat().st_size < 8 << 20
    found = packs.desk.verify(bomb, memory_bytes=200 << 20)
    assert (found.returncode, found.stderr) == (1, "")
    assert "events.jsonl: is not the file that the manifest names: longer" in found.stdout


def test_names_cannot_speak_for_the_verifier(packs: Packs) -> None:
    """What a terminal would obey is shown, not done; a name that is there twice, leads out or is a link is
    no file of the manifest."""
    pack = packs.copy()
    with zipfile.ZipFile(pack, "a") as opened, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opened.writestr("\x1b[2J\rThe pack is whole\n.txt", "")
        opened.writestr("../../etc/cron.d/x", "")
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        opened.writestr(link, "/etc/passwd")
        opened.writestr("approvals.csv", "position\r\n")
    found = packs.verify(pack)
    assert found.returncode == 1
    assert "\x1b" not in found.stdout
    assert "\nThe pack is whole" not in found.stdout
    assert "../../etc/cron.d/x: is not in the manifest" in found.stdout
    assert "link: is not in the manifest" in found.stdout
    assert "approvals.csv: is in the pack more than once" in found.stdout


def test_a_private_key_or_none_is_no_public_key(packs: Packs) -> None:
    """Exit code 2; a key inside a pack is never looked for."""
    private = packs.desk.folder / "private.pem"
    private.write_bytes(new_audit_key()[0])
    found = packs.verify(packs.masked, "--key", str(private))
    assert (found.returncode, "Traceback" in found.stderr) == (2, False)
    with zipfile.ZipFile(packs.masked) as opened:
        assert not [name for name in opened.namelist() if name.endswith(".pem")]

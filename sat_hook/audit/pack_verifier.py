#!/usr/bin/env python3
"""Verifies an evidence pack, offline: with the pack, this script and a public audit key, nothing else.

    python verify.py --key audit_public.pem [--key older.pem] [--published FOLDER]
        [--sat-key sat_public.pem [--withdrawn FINGERPRINT=TIME]] PACK.zip

Needs Python 3.11 or newer and the package "cryptography" (pip install cryptography), for signatures. It is
written without any code of the program that made the pack, so that a mistake there is not repeated here, and
it believes nothing that the pack says of itself: a manifest is a claim by the holder of the audit key.
Exit code 0: everything that is listed as verified, is; 1: something is wrong, each line says what and where;
2: it could not be done.
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import heapq
import json
import re
import sqlite3
import sys
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from html.parser import HTMLParser
from operator import itemgetter
from pathlib import Path
from typing import Any

FORMAT = "sat-evidence-pack-1"
CHECKPOINT_FORMAT = "sat-checkpoint-1"
MANIFEST, SEAL, COVER = "manifest.json", "manifest.sig.json", "cover.html"
STATUSES, CALLBACKS, RIGHTS = "signed_statuses.jsonl", "callbacks.jsonl", "rights.jsonl"
LARGEST_MANIFEST_BYTES = 1 << 24
LARGEST_LINE_BYTES = 1 << 26
NAMED_AT_MOST = 10
BACKDATED = timedelta(hours=1)
WIB = timezone(timedelta(hours=7))

UNREADABLE = (KeyError, zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError)
"""What zipfile raises for members that are missing, damaged, encrypted or compressed in a foreign way."""
NONSENSE = (KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError)
"""What comes of members of another shape than a pack has."""

ALWAYS = (
    "the manifest was signed with a key that you gave, and every file is the one that it names",
    "every checkpoint was signed with such a key, and each names the one before it",
    "the events are exactly those that the checkpoints cover: none changed, removed, inserted or moved",
    "the versions of every stream follow each other",
    "the tables (*.csv) show events of the pack as they are, and whatever people did is in one of them",
    "signed_statuses.jsonl lists the signed texts that events name: no other, none left out",
)
COVERED = (
    "cover.html says what the manifest and the events say: who asked and why, the period, counts, "
    "checkpoints, keys, the last verification, and the digest of every other file"
)
RIGHTS_COVERED = (
    "rights.jsonl says who had which right as the events of the pack say, and before the first of them what "
    "it changed"
)
UNMASKED = (
    "the text, actor, cause and time of every event are those that its digest was made of",
    "the bytes of signed statuses and callbacks have the digests that are listed",
)
MASKED = (
    'the text, actor, cause and time of every event without "masked": true are those of its digest',
    'of an event with "masked": true: its place, time of recording and original digest, not what is shown',
)
PUBLISHED = (
    "the checkpoints are those that were published, and no other published one has anything of the period",
)
SIGNED = (
    "every signed status and callback was signed with a key of SAT's that you gave, and each status says "
    "what the events say that rest on it: request id, status, amounts, product and client number",
)
NOT_SIGNED = (
    "SAT's own signatures and what they cover: give SAT's keys (--sat-key) and a pack with personal data, "
    "which has the signed texts"
)
EXPORTERS_WORD = (
    "the exporter's word, under the manifest's signature: who asked and why, which callbacks came in, "
    "deposits and prices"
)
NOT_PUBLISHED = (
    "not compared with published checkpoints (--published): that this is the log that was published, and "
    "that nothing of the period was left out, rests on trust in the holder of the audit key"
)


class CannotVerify(Exception):
    """The pack or a key cannot be read at all."""


def public_keys(paths: list[str], kind: type, expected: str) -> dict[str, Any]:
    """Public keys of one kind by their id: the first 16 digits of SHA-256 over the key's DER."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

    by_id = {}
    for path in paths:
        try:
            key = load_pem_public_key(Path(path).read_bytes())
        except (OSError, ValueError, UnsupportedAlgorithm) as error:
            raise CannotVerify(f"{path}: no public key in PEM ({error})") from None
        if not isinstance(key, kind):
            raise CannotVerify(f"{path}: found another kind of key; expected {expected}")
        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        by_id[hashlib.sha256(der).hexdigest()[:16]] = key
    return by_id


class Keys:
    """Public audit keys by their id."""

    def __init__(self, paths: list[str]) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        self.by_id: dict[str, Any] = public_keys(paths, Ed25519PublicKey, "Ed25519")

    def trouble(self, content: bytes, signature: str, key_id: str) -> str | None:
        """None when the signature is good, else what is wrong with it."""
        from cryptography.exceptions import InvalidSignature

        key = self.by_id.get(key_id)
        if key is None:
            return f"signed with key {key_id}, which was not given with --key"
        try:
            key.verify(base64.b64decode(signature, validate=True), content)
        except (InvalidSignature, ValueError):
            return f"the signature is not one of key {key_id} over this text"
        return None


class SATKeys:
    """SAT's public keys by their fingerprint, and since when some of them prove nothing."""

    def __init__(self, paths: list[str], withdrawn: list[str]) -> None:
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

        self.by_name: dict[str, Any] = public_keys(paths, RSAPublicKey, "RSA")
        self.withdrawn: dict[str, str] = {}
        for text in withdrawn:
            name, _, since = text.partition("=")
            try:
                time = datetime.fromisoformat(since)
                self.withdrawn[name] = moment((time if time.tzinfo else time.replace(tzinfo=WIB)).isoformat())
            except ValueError:
                raise CannotVerify(f"--withdrawn {text}: expected FINGERPRINT=TIME") from None
            if name not in self.by_name:
                raise CannotVerify(f"--withdrawn {text}: no such key was given with --sat-key")

    def signer_of(self, body: bytes, signature: str) -> str | None:
        """The fingerprint of the key that signed the body; PSS or PKCS#1 v1.5, both with SHA-256."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric import padding
        from cryptography.hazmat.primitives.hashes import SHA256

        schemes = (padding.PSS(padding.MGF1(SHA256()), padding.PSS.AUTO), padding.PKCS1v15())
        try:
            raw = base64.b64decode(signature.strip(), validate=True)
        except (ValueError, AttributeError):
            return None
        for name, key in self.by_name.items():
            for scheme in schemes:
                try:
                    key.verify(raw, body, scheme, SHA256())
                except (InvalidSignature, ValueError):
                    continue
                return name
        return None


class Statuses:
    """What events say of the signed texts that they rest on; on disk, because a pack may have any number."""

    def __init__(self, keys: SATKeys) -> None:
        self.keys = keys
        self.kept = sqlite3.connect("")
        self.kept.executescript(
            "CREATE TABLE resting (digest BLOB, position INTEGER, stream TEXT, type TEXT, recorded_at TEXT,"
            " data TEXT);"
            "CREATE TABLE sent (stream TEXT PRIMARY KEY, product TEXT, number TEXT);"
            "CREATE TABLE proven (stream TEXT, position INTEGER, word TEXT, is_end INTEGER,"
            " is_withdrawn INTEGER, key TEXT);"
        )

    def take(self, event: dict[str, Any]) -> None:
        """An event of the pack."""
        data = json.loads(event["data"])
        if event["type"] == "OrderReceived":
            sent = (event["stream"], str(data["product_code"]), str(data["client_number"]))
            self.kept.execute("INSERT OR IGNORE INTO sent VALUES (?, ?, ?)", sent)
        elif data.get("evidence_digest") is not None:
            digest, recorded_at = bytes.fromhex(data["evidence_digest"]), moment(event["recorded_at"])
            place = (event["position"], event["stream"], event["type"])
            row = (digest, *place, recorded_at, event["data"])
            self.kept.execute("INSERT INTO resting VALUES (?, ?, ?, ?, ?, ?)", row)

    def index(self) -> None:
        """All events were taken."""
        self.kept.execute("CREATE INDEX of_digest ON resting (digest)")

    def wrong(self, digest: bytes, body: bytes, signature: str) -> Iterator[tuple[str, str]]:
        """What is wrong with a text: where, and what."""
        key = self.keys.signer_of(body, signature)
        if key is None:
            yield f"signed status {digest.hex()}", "none of SAT's keys signed it"
            return
        try:
            told = json.loads(body)["data"]
            shown = told["attributes"]
            status = plain_words(shown["status"])
        except NONSENSE:
            yield f"signed status {digest.hex()}", "is no status of an order"
            return
        query = (
            "SELECT position, stream, type, recorded_at, data, product, number FROM resting LEFT JOIN sent"
        )
        rows = self.kept.execute(f"{query} USING (stream) WHERE digest = ?", (digest,)).fetchall()
        for position, stream, kind, recorded_at, data, product, number in rows:
            where, good = f"event at position {position}", True
            for found in differences(kind, json.loads(data), stream, told, status, (product, number)):
                good = False
                yield where, f"rests on a signed status that has {found}"
            if good:
                since = self.keys.withdrawn.get(key)
                is_withdrawn = since is not None and recorded_at >= since
                row = (stream, position, status, kind in ENDS, is_withdrawn, key)
                self.kept.execute("INSERT INTO proven VALUES (?, ?, ?, ?, ?, ?)", row)

    def withdrawn(self) -> Iterator[tuple[str, str]]:
        """Ends that rest on a withdrawn key alone."""
        query = (
            "SELECT e.position, e.key FROM proven AS e WHERE e.is_end AND e.position ="
            " (SELECT max(position) FROM proven WHERE stream = e.stream AND is_end) AND NOT EXISTS"
            " (SELECT 1 FROM proven WHERE stream = e.stream AND word = e.word AND NOT is_withdrawn)"
        )
        for position, key in self.kept.execute(query):
            where = f"event at position {position}"
            yield where, f"an end that rests on key {key} alone, withdrawn since {self.keys.withdrawn[key]}"


ENDS = {"OrderSucceeded": "Success", "OrderFailed": "Failed", "OrderReversed": "Failed"}
AMOUNTS = ("sales_price", "admin_fee", "partner_fee")
MOST_RUPIAH = 10**12


def differences(
    kind: str,
    event: dict[str, Any],
    stream: str,
    told: dict[str, Any],
    status: str,
    sent: tuple[str | None, str | None],
) -> Iterator[str]:
    """What a signed status says otherwise than the event that rests on it."""
    shown = told["attributes"]
    if str(told.get("id")) != stream.partition("/")[2]:
        yield "another request id"
    expected = "Success" if kind == "ReversalDoubted" else ENDS.get(kind)
    if status != (event.get("reported_status") if expected is None else expected):
        yield "another status"
    elif kind == "OrderPending" and status in ENDS.values():
        yield "an end for a status that ends nothing"
    for name in AMOUNTS:
        if f"{name}_rupiah" not in event:
            continue
        ours, theirs = event[f"{name}_rupiah"], rupiah(shown.get(name))
        is_none = theirs is None or not 0 <= theirs <= MOST_RUPIAH
        if ours != theirs and not (ours is None and is_none):
            yield f"another {name}"
    product, number = sent
    if product is None or number is None:
        return
    differing = []
    if not same_product(product, shown.get("product_code")):
        differing.append("product_code")
    if not same_number(product, number, shown.get("client_number")):
        differing.append("client_number")
    if differing != list(event.get("members", ())):
        yield f"another {' and '.join(differing or ['order than was recorded'])}"


def plain_words(status: Any) -> str:
    """A status as it is written into an event: one printable line."""
    if not isinstance(status, str):
        raise TypeError("no text")
    return "".join(sign if sign.isprintable() else " " for sign in status)[:500]


def rupiah(value: Any) -> int | None:
    """A whole number, as a number or as text; None for anything else."""
    if value is None or isinstance(value, bool):
        return None
    try:
        number = Decimal(str(value).strip())
        return int(number) if number == number.to_integral_value() else None
    except (InvalidOperation, ValueError, OverflowError):
        return None


PHONES = ("-simpati", "-xl", "-three", "-indosat", "-axis", "-telkomsel", "-smartfren")
NO_PHONES = ("pln-", "pdam-", "bpjs-", "pgn-", "pbb-", "samsat-", "speedy-", "kta-")
TEXT_MASK = r"[*\u2022\u25cf#]+|x{3,}"
DIGITS_MASK = r"[*\u2022\u25cf\u2219\u00b7\u25cb\u25a0\u2588\u00d7\u2217#?_x]+"
DASHES = "\\-\\u2010-\\u2015"


def same_product(sent: str, told: Any) -> bool:
    """True unless a code names another product; what is masked fits what it shows."""
    ours, theirs = folded(sent), folded(told)
    return not theirs or ours == theirs or fits_mask(theirs, TEXT_MASK, ours)


def same_number(product: str, sent: str, told: Any) -> bool:
    """True unless a number is another one; only a phone number has forms with and without 0, 62 and +62."""
    ours, theirs = folded(sent), folded(told)
    if not theirs or ours == theirs:
        return True
    if not ours.isdigit():
        return fits_mask(theirs, TEXT_MASK, ours)
    bare = re.sub(rf"[\s{DASHES}./()]+", "", re.sub(rf"[.{DASHES}]{{2,}}", "*", theirs))
    forms = {ours}
    if is_phone(product, ours):
        bare = bare.removeprefix("+")
        if bare.isdigit() and national(bare) == national(ours):
            return True
        forms |= {national(ours), "0" + national(ours), "62" + national(ours)}
    return bare in forms or any(fits_mask(bare, DIGITS_MASK, form) for form in forms)


def is_phone(product: str, number: str) -> bool:
    """Whether a product is for phones, or a number looks like a phone's where the product does not tell."""
    if product.startswith("pln-prepaid") or product.endswith(PHONES):
        return not product.startswith("pln-prepaid")
    if product.casefold().startswith(NO_PHONES):
        return False
    return re.fullmatch("(?:0|62)8[1-9][0-9]{6,10}", number) is not None


def folded(text: Any) -> str:
    """Without case, width, and what cannot be seen."""
    shown = "" if text is None else str(text).replace("\u2026", "*")
    signs = unicodedata.normalize("NFKC", shown).strip().casefold()
    return "".join(sign for sign in signs if unicodedata.category(sign) != "Cf")


def national(phone: str) -> str:
    """A phone number without the country's code and leading zeros."""
    digits = phone.lstrip("0")
    mobile = digits.removeprefix("62").lstrip("0")
    return mobile if mobile.startswith("8") else digits


def fits_mask(theirs: str, mask: str, ours: str) -> bool:
    """Whether a text is masked and shows parts of ours in their order."""
    if not re.search(mask, theirs):
        return False
    if len(ours) == len(theirs):
        hidden = re.sub(mask, lambda run: "\0" * len(run[0]), theirs)
        return all(shown in ("\0", sign) for shown, sign in zip(hidden, ours, strict=True))
    first, *between, last = re.split(mask, theirs)
    begin, end = len(first), len(ours) - len(last)
    if begin > end or not (ours.startswith(first) and ours.endswith(last)):
        return False
    for part in between:
        place = ours.find(part, begin, end)
        if place < 0:
            return False
        begin = place + len(part)
    return True


class Merkle:
    """The tree of RFC 6962, section 2.1, leaf by leaf."""

    def __init__(self) -> None:
        self.leaves = 0
        self.peaks: list[tuple[int, bytes]] = []

    def add(self, content: bytes) -> None:
        self.leaves += 1
        height, root = 0, hashlib.sha256(b"\x00" + content).digest()
        while self.peaks and self.peaks[-1][0] == height:
            height, root = height + 1, hashlib.sha256(b"\x01" + self.peaks.pop()[1] + root).digest()
        self.peaks.append((height, root))

    def root(self) -> str:
        root = self.peaks[-1][1] if self.peaks else hashlib.sha256(b"").digest()
        for _, left in reversed(self.peaks[:-1]):
            root = hashlib.sha256(b"\x01" + left + root).digest()
        return root.hex()


class CoverFacts(HTMLParser):
    """The facts of a cover: the texts of its ``data`` elements by class and value."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.facts: dict[tuple[str, str], set[str]] = {}
        self.inside: tuple[str, str] | None = None
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "data":
            given = dict(attrs)
            self.inside, self.text = (given.get("class") or "", given.get("value") or ""), ""

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "data" and self.inside is not None:
            name = self.inside[0]
            told = re.sub(r"[.,\s]", "", self.text) if name in COUNTS else self.text
            self.facts.setdefault(self.inside, set()).add(told)
            self.inside = None


class Verification:
    """One pack under verification; every problem is printed as it is found."""

    def __init__(
        self, pack: zipfile.ZipFile, keys: Keys, published: Path | None, sat_keys: SATKeys | None = None
    ) -> None:
        self.pack, self.keys, self.published = pack, keys, published
        self.sat_keys = sat_keys
        self.statuses: Statuses | None = None
        self.problems = 0
        self.files: dict[str, Any] = {}
        self.named: set[bytes] = set()
        self.sealed_by = ""
        self.verified: tuple[int, Any] | None = None
        self.odd: list[str] = []
        self.rights_seen: list[tuple[int, int, dict[str, Any]]] = []

    def run(self) -> dict[str, Any]:
        """Verify everything; returns the manifest."""
        manifest = self.read_manifest()
        self.files = {file["name"]: file for file in manifest["files"]}
        if self.sat_keys is not None and manifest["with_personal_data"]:
            self.statuses = Statuses(self.sat_keys)
        self.check_names()
        checkpoints = self.read_checkpoints(manifest)
        self.check_events(manifest, checkpoints)
        self.check_statuses()
        self.check_callbacks()
        if RIGHTS in self.files:
            self.check_rights()
        for name in self.files:
            read = ("checkpoints.jsonl", "events.jsonl", STATUSES, CALLBACKS, RIGHTS, COVER)
            if name not in read and not is_table(name):
                for _ in self.lines(name):
                    pass
        if self.has_cover:
            self.check_cover(manifest, checkpoints)
        if self.published is not None:
            self.check_published(manifest, checkpoints, self.published)
        return manifest

    @property
    def has_cover(self) -> bool:
        """Packs of earlier releases have none."""
        return COVER in self.files

    def wrong(self, where: str, found: str) -> None:
        self.problems += 1
        print(plain(f"{where}: {found}"))

    def read_manifest(self) -> dict[str, Any]:
        try:
            for name in (MANIFEST, SEAL):
                if self.pack.getinfo(name).file_size > LARGEST_MANIFEST_BYTES:
                    raise CannotVerify(f"{name}: larger than {LARGEST_MANIFEST_BYTES} bytes")
            content, seal = self.pack.read(MANIFEST), json.loads(self.pack.read(SEAL))
            manifest: dict[str, Any] = json.loads(content)
            trouble = self.keys.trouble(content, seal["signature"], seal["key_id"])
            known, self.sealed_by = manifest.get("format"), seal["key_id"]
        except (*UNREADABLE, *NONSENSE) as error:
            raise CannotVerify(f"no manifest that can be read ({type(error).__name__})") from None
        if trouble:
            self.wrong(MANIFEST, trouble)
        if known != FORMAT:
            raise CannotVerify(f"found a manifest of format {known!r}; expected {FORMAT!r}")
        try:
            check_shape(manifest)
        except NONSENSE as error:
            raise CannotVerify(f"a manifest of another shape ({type(error).__name__})") from None
        return manifest

    def check_names(self) -> None:
        found = Counter(entry.filename for entry in self.pack.infolist())
        expected = {*self.files, MANIFEST, SEAL}
        for name in sorted(name for name, times in found.items() if times > 1):
            self.wrong(name, "is in the pack more than once")
        for name in sorted(found.keys() - expected):
            self.wrong(name, "is not in the manifest")
        for name in sorted(expected - found.keys()):
            self.wrong(name, "is in the manifest and not in the pack")

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines of a file that the manifest names; when they are all read, its digest is compared."""
        listed = self.files.get(name)
        if listed is None:
            return
        digest, size = hashlib.sha256(), 0
        try:
            with self.pack.open(name) as file:
                while line := file.readline(min(LARGEST_LINE_BYTES, listed["size_bytes"] + 1)):
                    digest.update(line)
                    size += len(line)
                    if size > listed["size_bytes"]:
                        self.wrong(name, "is not the file that the manifest names: longer")
                        return
                    yield line
        except UNREADABLE:
            self.wrong(name, "cannot be read")
            return
        if (digest.hexdigest(), size) != (listed["sha256"], listed["size_bytes"]):
            self.wrong(name, "is not the file that the manifest names: other contents")

    def objects(self, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
        for number, line in enumerate(self.lines(name), 1):
            try:
                value = json.loads(line)
            except NONSENSE:
                value = None
            if isinstance(value, dict):
                yield number, value
            else:
                self.wrong(f"{name} line {number}", "is no JSON object")

    def read_checkpoints(self, manifest: dict[str, Any]) -> list[dict[str, Any]]:
        covered = manifest["covered"] or {}
        previous = covered.get("previous")
        number, position = covered.get("first_checkpoint"), covered.get("first_position")
        checkpoints = []
        for line, kept in self.objects("checkpoints.jsonl"):
            try:
                text, digest, trouble = self.opened(kept)
            except NONSENSE:
                self.wrong(f"checkpoints.jsonl line {line}", "is no checkpoint")
                continue
            first, last = text["first_position"], text["last_position"]
            where = f"checkpoint {text['number']} (positions {first} to {last})"
            if digest != kept["digest"]:
                self.wrong(where, "has another digest than is written beside it")
            if trouble:
                self.wrong(where, trouble)
            if (text["previous"], text["number"], first) != (previous, number, position):
                self.wrong(where, "does not follow the one before it")
            previous, number, position = digest, text["number"] + 1, last + 1
            checkpoints.append({**text, "digest": digest, "kept": kept})
        end = (covered.get("last_checkpoint", 0), covered.get("last_position", 0))
        if covered and (number, position) != (end[0] + 1, end[1] + 1):
            self.wrong("checkpoints.jsonl", f"does not end with checkpoint {end[0]} at position {end[1]}")
        return checkpoints

    def opened(self, kept: dict[str, Any]) -> tuple[dict[str, Any], str, str | None]:
        """A checkpoint's text, its digest, and what is wrong with its signature."""
        content = kept["document"].encode("utf-8")
        text: dict[str, Any] = json.loads(content)
        if text["format"] != CHECKPOINT_FORMAT:
            raise ValueError(text["format"])
        for name in ("number", "first_position", "last_position", "events"):
            text[name] = as_integer(text[name])
        trouble = self.keys.trouble(content, kept["signature"], kept["key_id"])
        return text, hashlib.sha256(content).hexdigest(), trouble

    def check_events(self, manifest: dict[str, Any], checkpoints: list[dict[str, Any]]) -> None:
        waiting = list(reversed(checkpoints))
        tree, count, masked, before = Merkle(), 0, 0, 0
        latest: datetime | None = None
        versions: dict[str, int] = {}
        # Tables and events both go up by position, so they are read side by side.
        rows = heapq.merge(*(self.table(name) for name in self.files if is_table(name)), key=itemgetter(0))
        row = next(rows, None)
        for line, event in self.objects("events.jsonl"):
            count += 1
            try:
                position, where = as_integer(event["position"]), f"event at position {event['position']}"
                while waiting and position > waiting[-1]["last_position"]:
                    self.close(waiting.pop(), tree)
                    tree = Merkle()
                if not waiting or position < waiting[-1]["first_position"]:
                    self.wrong(where, "is covered by no checkpoint of the pack")
                if position <= before:
                    self.wrong(where, f"stands after position {before}")
                before = position
                recorded_at = moment(event["recorded_at"])
                at = datetime.fromisoformat(recorded_at)
                if latest is not None and latest - at > BACKDATED:
                    self.odd.append(f"{where} was recorded at {recorded_at}, after an event of {latest}")
                latest = at if latest is None else max(latest, at)
                leaf = [position, recorded_at, event["digest"]]
                tree.add(json.dumps(leaf, separators=(",", ":")).encode("ascii"))
                if event.get("masked"):
                    masked += 1
                elif digest_of(event) != event["digest"]:
                    self.wrong(
                        where,
                        f"version {event['version']} of {event['stream']}: other contents than its digest",
                    )
                known = versions.get(event["stream"])
                if known is not None and event["version"] != known + 1:
                    self.wrong(
                        where, f"version {event['version']} of {event['stream']} stands after version {known}"
                    )
                versions[event["stream"]] = event["version"]
                if event["type"] == "RightsSeen":
                    self.rights_seen.append((position, event["version"], json.loads(event["data"])))
                if event["type"] == "LogVerified":
                    self.verified = position, json.loads(event["data"])
                if '"evidence_digest"' in event["data"]:
                    named = json.loads(event["data"]).get("evidence_digest")
                    self.named |= {bytes.fromhex(named)} if named is not None else set()
                if self.statuses is not None:
                    self.statuses.take(event)
                while row is not None and row[0] < position:
                    self.stray(row)
                    row = next(rows, None)
                if row is not None and row[0] == position:
                    if cells_of(event) not in (row[2], [as_recorded(cell) for cell in row[2]]):
                        self.wrong(row[1], f"another row than the event at position {position}")
                    row = next(rows, None)
                elif event["actor"].startswith("user:"):
                    self.wrong(where, f"an act of {event['actor']}: in none of the tables")
            except NONSENSE:
                self.wrong(f"events.jsonl line {line}", "is no event")
        while row is not None:
            self.stray(row)
            row = next(rows, None)
        while waiting:
            self.close(waiting.pop(), tree)
            tree = Merkle()
        if (count, masked) != (manifest["events"], manifest["masked_events"]):
            self.wrong(
                "events.jsonl", f"has {count} events, {masked} of them masked; the manifest says otherwise"
            )
        if masked and manifest["with_personal_data"]:
            self.wrong(
                "events.jsonl", f"has {masked} masked events in a pack that says that it is not masked"
            )

    def close(self, checkpoint: dict[str, Any], tree: Merkle) -> None:
        if (tree.leaves, tree.root()) == (checkpoint["events"], checkpoint["root"]):
            return
        where = f"positions {checkpoint['first_position']} to {checkpoint['last_position']}"
        found = f"{tree.leaves} events" if tree.leaves != checkpoint["events"] else "other events"
        self.wrong(
            where, f"{found} than the {checkpoint['events']} that checkpoint {checkpoint['number']} covers"
        )

    def table(self, name: str) -> Iterator[tuple[int, str, list[str]]]:
        """The rows of a table of events: position, name of the table, cells."""
        rows = csv.reader(line.decode("utf-8") for line in self.lines(name))
        try:
            if (header := next(rows, [])) != TABLE_COLUMNS:
                self.wrong(name, f"has the columns {', '.join(header)}")
            for cells in rows:
                yield int(cells[0]), name, cells
        except (*NONSENSE, csv.Error, IndexError):
            self.wrong(name, "a row that is none")

    def stray(self, row: tuple[int, str, list[str]]) -> None:
        self.wrong(row[1], f"a row of position {row[0]}, where no event stands or another row stood before")

    def check_statuses(self) -> None:
        seen = set()
        if self.statuses is not None:
            self.statuses.index()
        for line, digest, body, signature in self.bodies(STATUSES):
            where = f"{STATUSES} line {line}"
            if digest not in self.named:
                self.wrong(where, "no event of the pack names this digest")
            elif digest in seen:
                self.wrong(where, "is there more than once")
            seen.add(digest)
            if self.statuses is not None:
                for place, found in self.statuses.wrong(digest, body or b"", signature):
                    self.wrong(place, found)
        for place, found in self.statuses.withdrawn() if self.statuses is not None else ():
            self.wrong(place, found)
        if missing := self.named - seen:
            named = ", ".join(sorted(digest.hex() for digest in missing)[:NAMED_AT_MOST])
            self.wrong(STATUSES, f"{len(missing)} digests that events name are not here: {named}")

    def check_rights(self) -> None:
        """Each state is that of an event; the one before the first event is what that event changed."""
        told = []
        for line, row in self.objects(RIGHTS):
            try:
                told.append((row["position"], row["version"], row["source"], holders_of(row["holders"])))
            except NONSENSE:
                self.wrong(f"{RIGHTS} line {line}", "says no rights")
                return
        try:
            expected = [
                (position, version, data["source"], holders_of(data["holders"]))
                for position, version, data in self.rights_seen
            ]
            earlier = told[: max(0, len(told) - len(expected))]
            if told[len(earlier) :] != expected or len(earlier) > 1:
                self.wrong(RIGHTS, "says other rights than the events of the pack")
                return
            if not expected:
                return
            position, version, data = self.rights_seen[0]
            given, taken = (
                holders_of(one for one in data["holder_changes"] if one["is_given"] is is_given)
                for is_given in (True, False)
            )
            before = [(one[1], one[3]) for one in earlier] or [(0, frozenset())]
        except NONSENSE:
            self.wrong(RIGHTS, "cannot be compared with the events")
            return
        if before != [(version - 1, expected[0][3] - given | taken)]:
            self.wrong(RIGHTS, f"says other rights before position {position} than those that changed there")

    def check_cover(self, manifest: dict[str, Any], checkpoints: list[dict[str, Any]]) -> None:
        """Every fact on the cover is the manifest's, or one that was found in the pack."""
        if self.files[COVER]["size_bytes"] > LARGEST_MANIFEST_BYTES:
            self.wrong(COVER, f"larger than {LARGEST_MANIFEST_BYTES} bytes")
            return
        try:
            told = CoverFacts(b"".join(self.lines(COVER)).decode("utf-8")).facts
            expected = {(name, ""): str(manifest[name]) for name in COVER_FACTS}
            if manifest["covered"] is not None:
                expected |= {(name, ""): str(manifest["covered"][name]) for name in COVER_RANGE}
                expected["masked_events", ""] = str(manifest["masked_events"])
            ids = {checkpoint["kept"]["key_id"] for checkpoint in checkpoints}
            expected |= {("checkpoint_key", key_id): key_id for key_id in ids}
            expected["sealed_by", self.sealed_by] = self.sealed_by
            if self.verified is not None:
                position, verified = self.verified
                expected["verification", ""] = str(position)
                expected["verified_position", ""] = str(verified["closed_position"])
                expected |= {("verified_with", key_id): key_id for key_id in verified["key_ids"]}
        except NONSENSE:
            self.wrong(COVER, "cannot be compared with the manifest")
            return
        expected |= {("digest", name): file["sha256"] for name, file in self.files.items() if name != COVER}
        for name, key in sorted(told.keys() | expected.keys()):
            texts, right = told.get((name, key), set()), expected.get((name, key))
            if texts != {right}:
                shown, subject = ", ".join(sorted(texts)) or "nothing", f"{name} {key}".strip()
                self.wrong(COVER, f"says {shown} as {subject}; expected {right or 'nothing'}")

    def check_callbacks(self) -> None:
        for line, _, body, signature in self.bodies(CALLBACKS):
            if self.statuses is not None and self.statuses.keys.signer_of(body or b"", signature) is None:
                self.wrong(f"{CALLBACKS} line {line}", "none of SAT's keys signed it")

    def bodies(self, name: str) -> Iterator[tuple[int, bytes, bytes | None, str]]:
        """Digests of a file, each held against its bytes if they are there; with these and a signature."""
        for line, row in self.objects(name):
            try:
                digest = bytes.fromhex(row["digest"])
                body = base64.b64decode(row["body_base64"], validate=True) if "body_base64" in row else None
            except NONSENSE:
                self.wrong(f"{name} line {line}", "is no row of a digest")
                continue
            if body is not None and hashlib.sha256(body).digest() != digest:
                self.wrong(f"{name} line {line}", "other contents than its digest")
            yield line, digest, body, str(row.get("signature") or "")

    def check_published(
        self, manifest: dict[str, Any], checkpoints: list[dict[str, Any]], folder: Path
    ) -> None:
        """The pack's checkpoints are the published ones, and those beside them have nothing of the period."""
        for checkpoint in checkpoints:
            number = checkpoint["number"]
            try:
                if json.loads(published_file(folder, number).read_bytes()) != checkpoint["kept"]:
                    self.wrong(f"checkpoint {number}", "was published with other contents")
            except (OSError, *NONSENSE):
                where = published_file(folder, number)
                self.wrong(f"checkpoint {number}", f"no published copy that can be read at {where}")
        if checkpoints:
            numbers = [checkpoints[0]["number"] - 1, checkpoints[-1]["number"] + 1]
            beside = [path for number in numbers if (path := published_file(folder, number)).is_file()]
        else:
            beside = sorted(folder.glob("[0-9]*/[0-9]*.json"))
        for path in beside:
            self.check_beside(manifest, path)

    def check_beside(self, manifest: dict[str, Any], path: Path) -> None:
        try:
            text, _, trouble = self.opened(json.loads(path.read_bytes()))
            first, last = (datetime.fromisoformat(text[name]) for name in ("recorded_from", "recorded_to"))
            begin, end = (
                datetime.fromisoformat(manifest[name]) for name in ("recorded_from", "recorded_before")
            )
            is_of_period = last >= begin and first < end
        except (OSError, *NONSENSE):
            self.wrong(str(path), "is no published checkpoint that can be read")
            return
        if trouble:
            self.wrong(f"checkpoint {text['number']}", f"published: {trouble}")
        elif is_of_period:
            self.wrong(f"checkpoint {text['number']}", "holds something of the period and is left out")


COVER_RANGE = ("first_checkpoint", "last_checkpoint", "first_position", "last_position")
COVER_FACTS = (
    "requested_by", "requested_at", "reason", "recorded_from", "recorded_before", "export_id", "events",
)  # fmt: skip
COUNTS = (*COVER_RANGE, "events", "masked_events", "verification", "verified_position")
"""Facts that are numbers, with the marks of a language between their thousands."""

FORMULA = r"'*[=+\-@\uff1d\uff0b\uff0d\uff20]"
AT_THE_BEGIN = re.compile(rf"""\A'(?='*(?:[\t\r\n]|[\s"]*{FORMULA}))""")
BEHIND_A_MARK = re.compile(rf"""([,;\t|\r\n][\s"]*)'(?={FORMULA})""")
TABLE_COLUMNS = ["position", "recorded_at", "actor", "cause", "stream", "version", "type", "data"]


def holders_of(holders: Iterable[dict[str, Any]]) -> frozenset[tuple[str, str, str]]:
    """Who has which right: right, kind of holder, holder."""
    return frozenset((str(one["right"]), str(one["holder_kind"]), str(one["holder"])) for one in holders)


def is_table(name: str) -> bool:
    """Whether a file is a table of events, to be read by people."""
    return name.endswith(".csv")


def as_recorded(cell: str) -> str:
    """A cell without the apostrophes that keep a spreadsheet from running it; earlier packs have none."""
    behind = BEHIND_A_MARK.sub(r"\1", cell)
    return AT_THE_BEGIN.sub("", behind, count=1)


def cells_of(event: dict[str, Any]) -> list[str]:
    """An event as a row of a table."""
    return [str(moment(event[name]) if name == "recorded_at" else event[name]) for name in TABLE_COLUMNS]


def published_file(folder: Path, number: int) -> Path:
    """Where the copy of a checkpoint stands."""
    return folder / f"{number // 1000:07d}" / f"{number:010d}.json"


def as_integer(value: Any) -> int:
    """A whole number, and nothing that merely compares like one."""
    if type(value) is not int:
        raise ValueError("no whole number")
    return value


def check_shape(manifest: dict[str, Any]) -> None:
    """Raises one of NONSENSE for members that a manifest does not have like that."""
    for file in manifest["files"]:
        as_integer(file["size_bytes"])
        hash((file["name"] + "", file["sha256"] + ""))
    for name in ("events", "masked_events"):
        as_integer(manifest[name])
    for name in ("recorded_from", "recorded_before"):
        moment(manifest[name])
    hash(manifest["with_personal_data"])
    if manifest["covered"] is not None:
        for name in ("first_checkpoint", "last_checkpoint", "first_position", "last_position"):
            as_integer(manifest["covered"][name])


def plain(text: str) -> str:
    """The text without control characters: a zip's author chooses its names."""
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape", "backslashreplace").decode("ascii")
        for sign in text
    )


def moment(text: str) -> str:
    """A time in UTC, to the microsecond, as digests are made of it."""
    return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="microseconds")


def digest_of(event: dict[str, Any]) -> str:
    """SHA-256 over what the writer of an event knew, as canonical JSON."""
    parts = [
        event["stream"],
        event["version"],
        event["type"],
        event["schema_version"],
        event["data"],
        event["actor"],
        event["cause"],
        moment(event["occurred_at"]),
    ]
    canonical = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()


def main() -> int:
    """Verify the pack that the command line names."""
    parser = argparse.ArgumentParser(description="Verify an evidence pack offline.")
    parser.add_argument("pack", type=Path, help="the zip file")
    parser.add_argument("--key", action="append", required=True, metavar="PEM", help="a public audit key")
    parser.add_argument(
        "--published", type=Path, metavar="FOLDER", help="a copy of the published checkpoints"
    )
    parser.add_argument("--sat-key", action="append", default=[], metavar="PEM", help="a public key of SAT's")
    parser.add_argument(
        "--withdrawn",
        action="append",
        default=[],
        metavar="FINGERPRINT=TIME",
        help="a key of SAT's that proves nothing from then on",
    )
    options = parser.parse_args()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    # The module's own limit is the process's, which others may share.
    before = csv.field_size_limit(LARGEST_LINE_BYTES)
    try:
        return verdict(options)
    finally:
        csv.field_size_limit(before)


def verdict(options: argparse.Namespace) -> int:
    """Verify, say what was found, and return the exit code."""
    if options.published is not None and not options.published.is_dir():
        print(plain(f"{options.published}: no folder"), file=sys.stderr)
        return 2
    try:
        keys = Keys(options.key)
        sat_keys = SATKeys(options.sat_key, options.withdrawn) if options.sat_key else None
        with zipfile.ZipFile(options.pack) as pack:
            verification = Verification(pack, keys, options.published, sat_keys)
            manifest = verification.run()
    except ImportError:
        print('the package "cryptography" is missing: pip install cryptography', file=sys.stderr)
        return 2
    except (CannotVerify, OSError, zipfile.BadZipFile) as error:
        print(plain(f"{options.pack}: {error}"), file=sys.stderr)
        return 2
    if verification.problems:
        print(f"{verification.problems} problems: this pack does not prove what it says")
        return 1
    covered = manifest["covered"]
    scope = (
        f"checkpoints {covered['first_checkpoint']} to {covered['last_checkpoint']}, "
        f"positions {covered['first_position']} to {covered['last_position']}"
        if covered
        else "no event in the period"
    )
    print(f"The pack is whole: {manifest['events']} events ({manifest['masked_events']} masked), {scope}.")
    print("Verified:")
    kind = UNMASKED if manifest["with_personal_data"] else MASKED
    signed = verification.statuses is not None
    published = options.published is not None
    later = {COVER: COVERED, RIGHTS: RIGHTS_COVERED}
    also = tuple(words for name, words in later.items() if name in verification.files)
    for sentence in (*ALWAYS, *also, *kind, *(SIGNED if signed else ()), *(PUBLISHED if published else ())):
        print(f"- {sentence}")
    print("Not verified:")
    unsigned = () if signed else (NOT_SIGNED,)
    for sentence in verification.odd[:NAMED_AT_MOST]:
        print(plain(f"- {sentence}: it was added later, or a clock was set back"))
    for sentence in (EXPORTERS_WORD, *unsigned, *(() if published else (NOT_PUBLISHED,))):
        print(f"- {sentence}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

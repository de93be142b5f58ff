#!/usr/bin/env python3
"""Verifies an evidence pack, offline: with the pack, this script and a public audit key, nothing else.

    python verify.py --key audit_public.pem [--key older.pem] [--published FOLDER] PACK.zip

Needs Python 3.11 or newer and the package "cryptography" (pip install cryptography), for Ed25519. It is
written without any code of the program that made the pack, so that a mistake there is not repeated here.
Exit code 0: everything that the manifest says can be verified, is; 1: something is wrong, each line says what
and where; 2: it could not be done.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FORMAT = "sat-evidence-pack-1"
CHECKPOINT_FORMAT = "sat-checkpoint-1"
MANIFEST, SEAL = "manifest.json", "manifest.sig.json"


class CannotVerify(Exception):
    """The pack or a key cannot be read at all."""


class Keys:
    """Public keys by their id: the first 16 digits of SHA-256 over the key's DER."""

    def __init__(self, paths: list[str]) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            PublicFormat,
            load_pem_public_key,
        )

        self.by_id: dict[str, Ed25519PublicKey] = {}
        for path in paths:
            try:
                key = load_pem_public_key(Path(path).read_bytes())
            except (OSError, ValueError) as error:
                raise CannotVerify(f"{path}: no public key in PEM ({error})") from None
            if not isinstance(key, Ed25519PublicKey):
                raise CannotVerify(f"{path}: found another kind of key; expected Ed25519")
            der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            self.by_id[hashlib.sha256(der).hexdigest()[:16]] = key

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


class Verification:
    """One pack under verification; every problem is printed as it is found."""

    def __init__(self, pack: zipfile.ZipFile, keys: Keys, published: Path | None) -> None:
        self.pack, self.keys, self.published = pack, keys, published
        self.problems = 0
        self.files: dict[str, Any] = {}

    def run(self) -> dict[str, Any]:
        """Verify everything; returns the manifest."""
        manifest = self.read_manifest()
        self.files = {file["name"]: file for file in manifest["files"]}
        self.check_names()
        checkpoints = self.read_checkpoints(manifest)
        self.check_events(manifest, checkpoints)
        for name in self.files:
            if name in ("signed_statuses.jsonl", "callbacks.jsonl"):
                self.check_bodies(name)
            elif name not in ("checkpoints.jsonl", "events.jsonl"):
                for _ in self.lines(name):
                    pass
        if self.published is not None:
            self.check_published(checkpoints)
        return manifest

    def wrong(self, where: str, found: str) -> None:
        self.problems += 1
        print(f"{where}: {found}")

    def read_manifest(self) -> dict[str, Any]:
        try:
            content, seal = self.pack.read(MANIFEST), json.loads(self.pack.read(SEAL))
            manifest: dict[str, Any] = json.loads(content)
            trouble = self.keys.trouble(content, seal["signature"], seal["key_id"])
        except (KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
            raise CannotVerify(f"no manifest that can be read ({type(error).__name__})") from None
        if trouble:
            self.wrong(MANIFEST, trouble)
        if manifest.get("format") != FORMAT:
            raise CannotVerify(f"found a pack of format {manifest.get('format')!r}; expected {FORMAT!r}")
        return manifest

    def check_names(self) -> None:
        found = [entry.filename for entry in self.pack.infolist()]
        expected = {*self.files, MANIFEST, SEAL}
        for name in sorted({name for name in found if found.count(name) > 1}):
            self.wrong(name, "is in the pack more than once")
        for name in sorted(set(found) - expected):
            self.wrong(name, "is not in the manifest")
        for name in sorted(expected - set(found)):
            self.wrong(name, "is in the manifest and not in the pack")

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines of a file; when they are all read, its digest is compared."""
        digest, size = hashlib.sha256(), 0
        try:
            with self.pack.open(name) as file:
                for line in file:
                    digest.update(line)
                    size += len(line)
                    yield line
        except (KeyError, zipfile.BadZipFile):
            self.wrong(name, "cannot be read")
            return
        listed = self.files.get(name)
        if listed is not None and (digest.hexdigest(), size) != (listed["sha256"], listed["size_bytes"]):
            self.wrong(name, "is not the file that the manifest names: other contents")

    def objects(self, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
        for number, line in enumerate(self.lines(name), 1):
            try:
                value = json.loads(line)
            except ValueError:
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
            where = f"checkpoints.jsonl line {line}"
            try:
                content = kept["document"].encode("utf-8")
                text = json.loads(content)
                digest = hashlib.sha256(content).hexdigest()
                trouble = self.keys.trouble(content, kept["signature"], kept["key_id"])
                first, last = text["first_position"], text["last_position"]
                known = text["format"] == CHECKPOINT_FORMAT
            except (KeyError, ValueError, TypeError, AttributeError):
                known = False
            if not known:
                self.wrong(where, "is no checkpoint")
                continue
            where = f"checkpoint {text['number']} (positions {first} to {last})"
            if digest != kept["digest"]:
                self.wrong(where, "has another digest than is written beside it")
            if trouble:
                self.wrong(where, trouble)
            if text["previous"] != previous or text["number"] != number or first != position:
                self.wrong(where, "does not follow the one before it")
            previous, number, position = digest, text["number"] + 1, last + 1
            checkpoints.append({**text, "digest": digest, "kept": kept})
        end = covered.get("last_checkpoint", 0)
        if covered and number != end + 1:
            self.wrong("checkpoints.jsonl", f"does not end with checkpoint {end}")
        return checkpoints

    def check_events(self, manifest: dict[str, Any], checkpoints: list[dict[str, Any]]) -> None:
        waiting = list(reversed(checkpoints))
        tree, count, masked, before = Merkle(), 0, 0, 0
        versions: dict[str, int] = {}
        for line, event in self.objects("events.jsonl"):
            count += 1
            try:
                position, where = event["position"], f"event at position {event['position']}"
                while waiting and position > waiting[-1]["last_position"]:
                    self.close(waiting.pop(), tree)
                    tree = Merkle()
                if not waiting or position < waiting[-1]["first_position"]:
                    self.wrong(where, "is covered by no checkpoint of the pack")
                if position <= before:
                    self.wrong(where, f"stands after position {before}")
                before = position
                leaf = [position, moment(event["recorded_at"]), event["digest"]]
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
            except (KeyError, ValueError, TypeError):
                self.wrong(f"events.jsonl line {line}", "is no event")
        while waiting:
            self.close(waiting.pop(), tree)
            tree = Merkle()
        if (count, masked) != (manifest["events"], manifest["masked_events"]):
            self.wrong(
                "events.jsonl", f"has {count} events, {masked} of them masked; the manifest says otherwise"
            )

    def close(self, checkpoint: dict[str, Any], tree: Merkle) -> None:
        if (tree.leaves, tree.root()) == (checkpoint["events"], checkpoint["root"]):
            return
        where = f"positions {checkpoint['first_position']} to {checkpoint['last_position']}"
        found = f"{tree.leaves} events" if tree.leaves != checkpoint["events"] else "other events"
        self.wrong(
            where, f"{found} than the {checkpoint['events']} that checkpoint {checkpoint['number']} covers"
        )

    def check_bodies(self, name: str) -> None:
        for line, row in self.objects(name):
            if "body_base64" in row:
                body = base64.b64decode(row["body_base64"])
                if hashlib.sha256(body).hexdigest() != row.get("digest"):
                    self.wrong(f"{name} line {line}", "other contents than its digest")

    def check_published(self, checkpoints: list[dict[str, Any]]) -> None:
        assert self.published is not None
        for checkpoint in checkpoints:
            number = checkpoint["number"]
            path = self.published / f"{number // 1000:07d}" / f"{number:010d}.json"
            try:
                if json.loads(path.read_bytes()) != checkpoint["kept"]:
                    self.wrong(f"checkpoint {number}", "was published with other contents")
            except (OSError, ValueError):
                self.wrong(f"checkpoint {number}", f"no published copy at {path}")


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
    options = parser.parse_args()
    try:
        keys = Keys(options.key)
        with zipfile.ZipFile(options.pack) as pack:
            verification = Verification(pack, keys, options.published)
            manifest = verification.run()
    except ImportError:
        print('the package "cryptography" is missing: pip install cryptography', file=sys.stderr)
        return 2
    except (CannotVerify, OSError, zipfile.BadZipFile) as error:
        print(f"{options.pack}: {error}", file=sys.stderr)
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
    for sentence in manifest["can_be_verified"]:
        print(f"- {sentence}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

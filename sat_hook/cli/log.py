"""``sat log`` and ``sat projections``: check the log, and that derived tables match it.

A verifier supplies the public keys and the place where checkpoints were published.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import unquote, urlsplit

import typer

from sat_hook.cli.context import console, database_of, settings_of
from sat_hook.cli.errors import CommandError, ExitCode
from sat_hook.cli.settings import CommandSettings

if TYPE_CHECKING:
    from rich.console import Console

    from sat_hook.audit.findings import Finding
    from sat_hook.audit.keys import AuditVerifier
    from sat_hook.audit.log_verification import LastVerified, Verification
    from sat_hook.audit.publication import PublishedReader
    from sat_hook.audit.signed_statuses import SATKeys


log_app = typer.Typer(help="The log of events.", no_args_is_help=True)
projections_app = typer.Typer(help="The tables derived from the log.", no_args_is_help=True)

LATE_MINUTES = 10
"""Report an event that no checkpoint covers this long after it was recorded."""


@log_app.callback()
def log() -> None:
    """The log of events."""


@log_app.command("verify")
def verify(
    context: typer.Context,
    as_owner: Annotated[
        bool, typer.Option("--as-owner", help="Check the bytes of signed evidence too (needs SAT_OWNER_DSN)")
    ] = False,
    public_key: Annotated[
        list[Path] | None,
        typer.Option(help="A public audit key (PEM), can be repeated (default: SAT_AUDIT_PUBLIC_KEYS)"),
    ] = None,
    published: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="Where checkpoints were published (default: SAT_CHECKPOINTS_URI); '' for no look",
        ),
    ] = None,
    every_copy: Annotated[
        bool, typer.Option("--every-copy", help="Compare every published copy; the newest proves the others")
    ] = False,
    sat_key: Annotated[
        list[Path] | None,
        typer.Option(
            help="A public key of SAT's (PEM), can be repeated: all that ever signed (default: "
            "SAT_STATUS_PUBLIC_KEYS). Needs --as-owner"
        ),
    ] = None,
    withdrawn: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FINGERPRINT=TIME",
            help="A key of SAT's that proves nothing from then on, can be repeated (default: "
            "SAT_WITHDRAWN_KEYS)",
        ),
    ] = None,
    only_new: Annotated[
        bool,
        typer.Option("--new", help="Only what is newer than the last verification that found nothing"),
    ] = False,
) -> None:
    """Verify digests, versions, heads, event types, evidence, every checkpoint and what was published.

    Exit code 1 when something is wrong; each line says what and where.
    """
    from sat_hook.audit.checkpoint_verification import Trust
    from sat_hook.audit.log_verification import last_verified, verify_log

    out, settings = console(), settings_of(context)
    uri = settings.get("SAT_CHECKPOINTS_URI") or "" if published is None else published
    signing = sat_keys(settings, sat_key or [], withdrawn or [])
    trust = Trust(audit_keys(settings, public_key or []), published_at(uri), every_copy, signing)
    with database_of(settings, "SAT_OWNER_DSN" if as_owner else "SAT_DB_DSN") as database:
        before = last_verified(database, is_clean=True) if only_new else None
        after = 0 if before is None else before.checkpoints
        verification = verify_log(database, _print, trust, after_checkpoint=after)
        full = last_verified(database, is_everything=True)
    evidence = "with the bytes of its evidence" if verification.evidence_read else "without evidence bytes"
    if verification.statuses_checked is not None:
        evidence += f", {verification.statuses_checked:,} signed statuses held against SAT's keys"
    elif verification.evidence_read:
        evidence += ", SAT's signatures not looked at (no key of SAT's)"
    scope = (
        f"{verification.events:,} events in {verification.streams:,} streams, {evidence}; "
        f"closed at position {verification.closed_position:,}"
    )
    if verification.is_clean:
        out.print(f"[green]The log is whole[/]: {scope}")
    else:
        out.print(f"[red]{verification.counts.total():,} problems[/]: {scope}")
    _print_chain(out, verification)
    _print_extent(out, verification, full)
    if not verification.is_clean:
        raise typer.Exit(ExitCode.FOUND_TROUBLE)


def _print_extent(out: Console, verification: Verification, full: LastVerified | None) -> None:
    """Print how far back this went, and when everything was verified last, by the log's own record."""
    from sat_hook.cli.formatting import moment

    first = verification.chain.first_checkpoint
    what = "Everything was verified" if first == 1 else f"Verified from checkpoint {first:,} on"
    recorded = (
        "no verification of everything is recorded yet"
        if full is None
        else f"the last recorded verification of everything ended {moment(full.ended_at)} WIB, up to "
        f"position {full.position:,}"
    )
    out.print(f"{what}; {recorded}")


def _print_chain(out: Console, verification: Verification) -> None:
    """Print which checkpoints were verified, and whether they seem to have stopped."""
    from sat_hook.audit.alerts import backdated_text
    from sat_hook.cli.formatting import moment

    chain = verification.chain
    looked_at = "signatures good" if verification.is_clean else "signatures looked at"
    signatures = looked_at if chain.signatures_checked else "signatures not looked at (no public key)"
    copies = (
        "published copies not looked at"
        if verification.published_number is None
        else f"published up to checkpoint {verification.published_number:,}"
    )
    out.print(
        f"{chain.checkpoints:,} checkpoints up to position {chain.covered_position:,}; "
        f"{chain.uncovered_events:,} newer events wait for the next; {signatures}; {copies}"
    )
    for leaf in chain.backdated:
        out.print(f"[yellow]Look at this:[/] {backdated_text(leaf)}")
    since = chain.uncovered_since
    if since is not None and datetime.now(UTC) - since > timedelta(minutes=LATE_MINUTES):
        out.print(
            f"[yellow]The oldest of them waits since {moment(since)} WIB[/]: "
            "does the DAG audit_checkpoint run?"
        )


@projections_app.callback()
def projections() -> None:
    """The tables derived from the log."""


@projections_app.command("rebuild")
def rebuild(
    context: typer.Context,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing: fold the log aside and compare")
    ] = False,
) -> None:
    """Empty the derived tables and fill them from the log.

    With --check, only compare (exit code 1 when something differs)."""
    from sat_hook.audit.rebuild import compare_projections, rebuild_projections

    out = console()
    if not check:
        with database_of(settings_of(context), "SAT_OWNER_DSN") as database:
            rebuilt = rebuild_projections(database)
        out.print(f"[green]Rebuilt[/] {rebuilt.orders:,} orders and {rebuilt.batches:,} batches from the log")
        return
    with database_of(settings_of(context)) as database:
        comparison = compare_projections(database, _print)
    scope = (
        f"{comparison.orders:,} orders and {comparison.batches:,} batches; "
        f"closed at position {comparison.closed_position:,}"
    )
    if comparison.is_clean:
        out.print(f"[green]The derived tables agree with the log[/]: {scope}")
        return
    out.print(f"[red]{comparison.counts.total():,} differences[/]: {scope}")
    raise typer.Exit(ExitCode.FOUND_TROUBLE)


def _print(finding: Finding) -> None:
    typer.echo(str(finding))


_LARGEST_KEY_FILE_BYTES = 65_536


def audit_keys(settings: CommandSettings, paths: Sequence[Path]) -> AuditVerifier | None:
    """Return the keys in these files, or those in the settings. None when there are none.

    :raises CommandError: a file cannot be read, or is not a key.
    """
    from sat_hook.audit.keys import AuditVerifier
    from sat_hook.protocol.errors import MalformedKeyError

    pems = _key_files(settings, "SAT_AUDIT_PUBLIC_KEYS", paths, "a public audit key (PEM)")
    try:
        return AuditVerifier(pems) if pems else None
    except MalformedKeyError as error:
        raise CommandError(str(error)) from None


def sat_keys(settings: CommandSettings, paths: Sequence[Path], withdrawn: Sequence[str]) -> SATKeys | None:
    """Return SAT's keys in these files, or those in the settings. None when there are none.

    :param withdrawn: keys that are no longer trusted: ``FINGERPRINT=TIME``.
    :raises CommandError: a file cannot be read, or is not a key; or a text is not ``FINGERPRINT=TIME``.
    """
    from sat_hook.audit.signed_statuses import SATKeys, withdrawn_from
    from sat_hook.protocol.errors import MalformedKeyError

    pems = _key_files(settings, "SAT_STATUS_PUBLIC_KEYS", paths, "a public key of SAT (PEM)")
    texts = list(withdrawn) or (settings.get("SAT_WITHDRAWN_KEYS") or "").split(",")
    try:
        return SATKeys.from_pem(pems, withdrawn_from(texts)) if pems else None
    except MalformedKeyError as error:
        raise CommandError(str(error)) from None


def _key_files(settings: CommandSettings, name: str, paths: Sequence[Path], expected: str) -> list[bytes]:
    named = (settings.get(name) or "").split(",")
    pems = []
    for path in list(paths) or [Path(part.strip()) for part in named if part.strip()]:
        try:
            with path.open("rb") as file:
                pems.append(file.read(_LARGEST_KEY_FILE_BYTES))
        except OSError as error:
            raise CommandError.of_system(f"{path}", error, expected) from None
    return pems


def published_at(uri: str) -> PublishedReader | None:
    """Return the place of publication, opened for reading. None for an empty text.

    Object stores are read with the credentials that their fsspec driver finds. An Airflow connection in
    front of the ``@`` is ignored.

    :raises CommandError: no installed driver can read such a URI.
    """
    from sat_hook.audit.publication import PublishedFolder, PublishedObjects

    parts = urlsplit(uri)
    if not uri:
        return None
    if parts.scheme in ("", "file"):
        folder = Path(unquote(parts.path))
        if not folder.is_dir():
            raise CommandError.at(f"{folder}", "no folder", "the place where checkpoints were published")
        return PublishedFolder(folder)
    plain = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
    try:
        return PublishedObjects(import_module("upath").UPath(plain))
    except (ImportError, ValueError) as error:
        raise CommandError.at(uri, type(error).__name__, "a URI that fsspec has a driver for") from None

"""``sat reconcile report``: fetches the report of a closed day as files."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

from sat_hook.cli.books import Named
from sat_hook.cli.context import airflow_of, console, settings_of
from sat_hook.cli.errors import CommandError
from sat_hook.cli.time_options import day_from


def report(
    context: typer.Context,
    day: Annotated[str, typer.Argument(metavar="DAY", help="The WIB day, for example 2026-11-22")],
    account: Named = None,
    output: Annotated[Path, typer.Option(help="A folder for the files, or the name of a .zip")] = Path(),
    version: Annotated[
        int | None, typer.Option(help="An earlier version; default: the newest", min=1)
    ] = None,
) -> None:
    """Fetch the report of a closed day: workbook, PDFs, breaks and orders, with all decisions and signatures.

    A version never changes. Later decisions and signatures make a new version, which lists the earlier ones.
    """
    named = day_from(day, "DAY").isoformat()
    with airflow_of(settings_of(context)) as airflow:
        fetched = airflow.day_report(airflow.account_or_only(account), named, version)
    out = console()
    try:
        for path in _saved(fetched.content, output):
            out.print(f"{path}: {path.stat().st_size:,} bytes", markup=False)
    except OSError as error:
        raise CommandError.of_system(f"--output {output}", error, "a place that can be written to") from None
    except zipfile.BadZipFile:
        raise CommandError.at("the report", "no ZIP", "the files of a report; try again") from None


def _saved(content: bytes, output: Path) -> list[Path]:
    from sat_hook.store.private_files import private_file

    if output.suffix.lower() == ".zip":
        with private_file(output) as file:
            file.write(content)
        return [output]
    output.mkdir(parents=True, exist_ok=True)
    paths = []
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in archive.namelist():
            path = output / PurePosixPath(member).name
            with private_file(path) as file:
                file.write(archive.read(member))
            paths.append(path)
    return paths

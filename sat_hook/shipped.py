"""Files that come with the package and are no Python of its own: SQL, and the DAGs."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def shipped(name: str) -> Path:
    """A folder that comes with the package: ``sql`` or ``dags``.

    A wheel has it inside the package, a checkout beside it.

    :raises FileNotFoundError: when the installation is incomplete.
    """
    package = Path(str(files("sat_hook")))
    for folder in (package / name, package.parent / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(
        f"found no folder {name} inside or beside {package}: the installation is incomplete"
    )

"""Settings files of another user, or that others may write to, are not read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from sat_hook.store.errors import UntrustedFileError
from sat_hook.store.private_files import read_trusted


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A settings file as it should be."""
    made = tmp_path / "settings"
    made.write_text("SAT_AIRFLOW_URL=http://127.0.0.1:1\n")
    made.chmod(0o600)
    return made


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o400, 0o444, 0o640])
def test_what_only_its_owner_may_write_is_read(file: Path, mode: int) -> None:
    """Others may read it, if its owner wants that."""
    file.chmod(mode)
    assert read_trusted(file, 100).startswith(b"SAT_AIRFLOW_URL")
    assert len(read_trusted(file, 3)) == 3


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666, 0o660, 0o777])
def test_what_others_may_write_is_refused(file: Path, mode: int) -> None:
    """With the mode, and what to do."""
    file.chmod(mode)
    with pytest.raises(UntrustedFileError, match=rf"mode {mode:04o}.*chmod go-w"):
        read_trusted(file, 100)


def test_what_somebody_else_owns_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted by another user; root's is as good as one's own."""
    owner = file.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    if owner != 0:
        with pytest.raises(UntrustedFileError, match=f"a file of user id {owner}"):
            read_trusted(file, 100)
        return
    assert read_trusted(file, 100)
    os.chown(file, 65_534, 65_534)
    with pytest.raises(UntrustedFileError, match="a file of user id 65534; expected one of your own"):
        read_trusted(file, 100)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A folder, and a pipe, which would be waited for."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, stat.S_IRUSR | stat.S_IWUSR)
    with pytest.raises(UntrustedFileError, match="no plain file"):
        read_trusted(pipe, 100)
    with pytest.raises(OSError, match="directory"):
        read_trusted(tmp_path, 100)


def test_a_link_leads_to_the_file_that_is_looked_at(file: Path, tmp_path: Path) -> None:
    """Secrets of an orchestrator are links; what counts is the file behind them."""
    link = tmp_path / "link"
    link.symlink_to(file)
    assert read_trusted(link, 100)
    file.chmod(0o666)
    with pytest.raises(UntrustedFileError):
        read_trusted(link, 100)

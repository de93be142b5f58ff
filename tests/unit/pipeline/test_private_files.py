"""Files with customers' data: for their owner alone, there whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from sat_hook.cli.airflow_api import Download
from sat_hook.cli.batch import _write
from sat_hook.cli.errors import CommandError
from sat_hook.store.errors import SpoolError
from sat_hook.store.private_files import private_file
from sat_hook.store.spool import LocalSpool


def mode_of(path: Path) -> int:
    """Who may do what with the file."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes every byte and has no room when they are to be kept."""

    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_leaves_no_draft_in_the_spool(tmp_path: Path) -> None:
    """Nothing is left of what could not be kept, and what was there before is untouched."""
    with pytest.raises(SpoolError, match="No space left"):
        LocalSpool(tmp_path).write("batches/B/x.csv", b"081234567890\n" * 5000)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_is_spooled_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Submitted bytes and results hold customers' numbers; the umask does not decide."""
    umask = os.umask(0)
    try:
        LocalSpool(tmp_path).write("results/B/x.csv", b"081234567890\n")
    finally:
        os.umask(umask)
    assert mode_of(tmp_path / "results/B/x.csv") == 0o600


def test_goods_in_a_file_that_was_there_are_for_their_owner_alone(tmp_path: Path) -> None:
    """The mode of the older file is not taken over; a link stays one."""
    old, link = tmp_path / "goods.csv", tmp_path / "link.csv"
    old.write_text("old")
    old.chmod(0o644)
    link.symlink_to(old)
    _write(Download("x", b"voucher"), link)
    assert (old.read_bytes(), mode_of(old), link.is_symlink()) == (b"voucher", 0o600, True)


@pytest.mark.usefixtures("full_disk")
def test_goods_that_do_not_fit_leave_the_older_file(tmp_path: Path) -> None:
    """One sentence, no half file, no draft."""
    old = tmp_path / "goods.csv"
    old.write_text("old")
    with pytest.raises(CommandError, match="no space left"):
        _write(Download("x", b"voucher"), old)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("goods.csv", "old")]


def test_a_failure_while_writing_removes_the_draft(tmp_path: Path) -> None:
    """Whatever it was."""

    def write() -> None:
        with private_file(tmp_path / "x") as file:
            file.write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        write()
    assert list(tmp_path.iterdir()) == []


def test_a_device_is_written_as_it_is() -> None:
    """For example /dev/null or a pipe: there is nothing to replace."""
    with private_file(Path("/dev/null")) as file:
        file.write(b"gone")
    assert Path("/dev/null").is_char_device()

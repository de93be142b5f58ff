"""Settings are read again at most once an interval, by one thread; no caller waits for a disk for ever."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from sat_hook.receiver import live_settings
from sat_hook.receiver.body_reader import _exceeds
from sat_hook.receiver.errors import ReceiverSettingsError
from sat_hook.receiver.live_settings import CurrentSettings
from sat_hook.receiver.settings import ReceiverSettings

EVERY = 10.0


class Disk:
    """Where the settings are read from, and a clock beside it."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.reads = 0
        self.adopted: list[ReceiverSettings] = []
        self.trouble: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def read(self) -> ReceiverSettings:
        """What the source does."""
        self.reads += 1
        self.gate.wait(60)
        if self.trouble is not None:
            raise self.trouble
        return ReceiverSettings("", {})


@pytest.fixture
def disk() -> Disk:
    """A disk that answers at once."""
    return Disk()


@pytest.fixture
async def settings(disk: Disk) -> AsyncIterator[CurrentSettings]:
    """Read just now."""
    made = CurrentSettings(disk.read, disk.adopted.append, lambda: disk.seconds)
    yield made
    disk.gate.set()
    await asyncio.sleep(0.05)
    made.close()


async def test_they_are_read_once_an_interval(disk: Disk, settings: CurrentSettings) -> None:
    """However many ask, and not before the interval is over."""
    reads = []
    for seconds in (0.0, 9.9, 10.0, 10.1, 19.9, 20.0, 100.0, 100.1):
        disk.seconds = seconds
        await asyncio.gather(*(settings.refresh(EVERY) for _ in range(5)))
        reads.append(disk.reads)
    assert reads == [0, 0, 1, 1, 1, 2, 3, 3]
    assert len(disk.adopted) == 3


async def test_everybody_waits_for_what_is_being_read(disk: Disk, settings: CurrentSettings) -> None:
    """No caller continues with settings that are too old while newer ones are being read."""
    disk.seconds = EVERY
    disk.gate.clear()
    waiting = [asyncio.create_task(settings.refresh(EVERY)) for _ in range(3)]
    await asyncio.sleep(0.05)
    assert not any(task.done() for task in waiting)
    disk.gate.set()
    await asyncio.gather(*waiting)
    assert (disk.reads, len(disk.adopted)) == (1, 1)


async def test_a_disk_that_hangs_costs_one_wait_an_interval(
    disk: Disk, settings: CurrentSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Then the last good settings stay, and it is said; what comes at last is adopted."""
    monkeypatch.setattr(live_settings, "READING_SECONDS", 0.05)
    disk.seconds = EVERY
    disk.gate.clear()
    await settings.refresh(EVERY)
    assert settings.is_stale
    assert "takes too long" in caplog.text
    monkeypatch.setattr(live_settings, "READING_SECONDS", 60)
    disk.seconds += EVERY - 0.1
    await asyncio.wait_for(settings.refresh(EVERY), 30)
    disk.seconds += 0.2
    asking = asyncio.create_task(settings.refresh(EVERY))
    await asyncio.sleep(0.05)
    assert disk.reads == 1, "one thread waits, not one more each time"
    disk.gate.set()
    await asking
    assert (disk.reads, len(disk.adopted), settings.is_stale) == (1, 1, False)


@pytest.mark.parametrize("trouble", [ReceiverSettingsError("accounts: found nothing"), OSError("secret")])
async def test_trouble_is_said_once_an_interval_and_changes_nothing(
    disk: Disk, settings: CurrentSettings, caplog: pytest.LogCaptureFixture, trouble: Exception
) -> None:
    """Our own words in full, of a stranger's error the type alone."""
    disk.trouble = trouble
    disk.seconds = EVERY
    await settings.refresh(EVERY)
    await settings.refresh(EVERY)
    assert (disk.reads, disk.adopted, settings.is_stale) == (1, [], True)
    expected = "accounts: found nothing" if isinstance(trouble, ReceiverSettingsError) else "OSError"
    assert expected in caplog.text
    assert "secret" not in caplog.text
    disk.trouble = None
    disk.seconds += EVERY
    await settings.refresh(EVERY)
    assert (len(disk.adopted), settings.is_stale) == (1, False)


def test_a_length_of_a_thousand_digits_is_too_large() -> None:
    """Python itself refuses to read such a number."""
    assert _exceeds("9" * 5000, 2**62)
    assert not _exceeds("10", 10)
    assert _exceeds("11", 10)

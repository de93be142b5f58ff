"""The settings as they are now: the file and its keys are read again while the receiver runs.

So a key that was added counts, and one that was withdrawn counts no more, within seconds and without a
restart. What cannot be read changes nothing: the last good settings stay, and the log says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from sat_hook.receiver.settings import ReceiverSettings, ReceiverSettingsError

logger = logging.getLogger(__name__)

SettingsSource = Callable[[], ReceiverSettings]

READING_SECONDS = 2.0
"""How long a callback waits for settings that are being read: a disk that hangs stops no receiver."""


class CurrentSettings:
    """Reads again, at most once an interval, when somebody asks; nobody is given older settings than that.

    :param source: reads and checks the settings; runs in a thread of its own.
    :param adopt: is told of settings that were read, in the event loop.
    :param monotonic: seconds of a clock that never jumps.
    """

    def __init__(
        self,
        source: SettingsSource,
        adopt: Callable[[ReceiverSettings], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._source = source
        self._adopt = adopt
        self._monotonic = monotonic
        self._read_at = monotonic()
        self._reading: asyncio.Task[None] | None = None
        # Its own thread: whatever else is slow must not keep a withdrawn key alive.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sat-settings")
        self.is_stale = False
        """True while the last attempt to read them failed."""

    async def refresh(self, every_seconds: float) -> None:
        """Return when the settings are at most so old, or when reading them takes too long."""
        now = self._monotonic()
        if now - self._read_at >= every_seconds and self._reading is None:
            self._reading = asyncio.get_running_loop().create_task(self._read(now))
        if self._reading is not None and now - self._read_at >= every_seconds:
            await asyncio.wait({self._reading}, timeout=READING_SECONDS)
            if self._reading is not None:
                self._fail("reading them takes too long")
                self._read_at = now

    def close(self) -> None:
        """Let go of the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _read(self, began: float) -> None:
        try:
            settings = await asyncio.get_running_loop().run_in_executor(self._thread, self._source)
            self._adopt(settings)
        except ReceiverSettingsError as error:
            self._fail(str(error))
        except Exception as error:
            self._fail(type(error).__name__)
        else:
            self.is_stale = False
        finally:
            self._read_at = max(self._read_at, began)
            self._reading = None

    def _fail(self, why: str) -> None:
        self.is_stale = True
        logger.error("the settings could not be read again, the last good ones stay: %s", why)

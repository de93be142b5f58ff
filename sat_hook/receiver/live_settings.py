"""The current settings: the file and its keys are reread while the receiver runs.

A key that is added or withdrawn takes effect within seconds, without a restart. If reading fails, the last
good settings stay and the failure is logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from sat_hook.receiver.errors import ReceiverSettingsError
from sat_hook.receiver.settings import ReceiverSettings

logger = logging.getLogger(__name__)

SettingsSource = Callable[[], ReceiverSettings]

READING_SECONDS = 2.0
"""How long a callback waits while settings are read, so that a hanging disk does not stop the receiver."""


class CurrentSettings:
    """Rereads the settings on demand, at most once per interval. Callers never see settings older than that.

    :param source: reads and checks the settings, in a dedicated thread.
    :param adopt: called in the event loop with settings that were read.
    :param monotonic: seconds of a monotonic clock.
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
        # A dedicated thread: other slow work must not keep a withdrawn key valid.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sat-settings")
        self.is_stale = False
        """True if the last attempt to read the settings failed."""

    async def refresh(self, every_seconds: float) -> None:
        """Wait until the settings are at most one interval old, or until reading takes too long."""
        now = self._monotonic()
        if now - self._read_at >= every_seconds and self._reading is None:
            self._reading = asyncio.get_running_loop().create_task(self._read(now))
        if self._reading is not None and now - self._read_at >= every_seconds:
            await asyncio.wait({self._reading}, timeout=READING_SECONDS)
            if self._reading is not None:
                self._fail("reading them takes too long")
                self._read_at = now

    def close(self) -> None:
        """End the thread."""
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

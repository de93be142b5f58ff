"""Reads bodies within limits: of each in bytes and seconds, and of all together in memory."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request

from sat_hook.receiver.answers import Refusal, Refused
from sat_hook.receiver.settings import Limits


class Bodies:
    """The bodies of one receiver that are being read, by one event loop."""

    def __init__(self) -> None:
        self._held_bytes = 0

    async def read(self, request: Request, limits: Limits) -> bytes:
        """The raw body; never more of it in memory than the limit.

        :raises Refused: too large (as declared, or as it came), too slow, or no memory for it.
        """
        declared = request.headers.get("content-length", "")
        if declared.isascii() and declared.isdigit() and _exceeds(declared, limits.body_bytes):
            raise Refused(Refusal.BODY_TOO_LARGE)
        content = bytearray()
        try:
            async with asyncio.timeout(limits.body_seconds):
                async for chunk in request.stream():
                    # Nobody has proved anything yet, so strangers together get no more than this.
                    if self._held_bytes + len(chunk) > limits.unverified_bytes:
                        raise Refused(Refusal.MEMORY_FULL)
                    self._held_bytes += len(chunk)
                    content += chunk
                    if len(content) > limits.body_bytes:
                        raise Refused(Refusal.BODY_TOO_LARGE)
        except TimeoutError:
            raise Refused(Refusal.BODY_TOO_SLOW) from None
        except ClientDisconnect:
            # Nobody hears this answer any more.
            raise Refused(Refusal.SENDER_LEFT) from None
        finally:
            self._held_bytes -= len(content)
        return bytes(content)


def _exceeds(declared: str, limit_bytes: int) -> bool:
    # A number of a thousand digits is not even read.
    return len(declared) > 18 or int(declared) > limit_bytes

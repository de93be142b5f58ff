"""Reads bodies within limits: of each in bytes and seconds, and of all together in memory."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request

from sat_hook.receiver.responses import Refusal, Refused
from sat_hook.receiver.settings import Limits


class Bodies:
    """The bodies of one receiver that are being read, by one event loop."""

    def __init__(self) -> None:
        # Of strangers, and of those on the allow-list: who is expected finds room whatever others do.
        self._held_bytes = {False: 0, True: 0}

    async def read(self, request: Request, limits: Limits, *, is_listed: bool) -> bytes:
        """The raw body; never more of it in memory than the limit.

        :param is_listed: whether the sender is on the allow-list.
        :raises Refused: too large (as declared, or as it came), too slow, or no memory for it.
        """
        declared = request.headers.get("content-length", "")
        if declared.isascii() and declared.isdigit() and _exceeds(declared, limits.body_bytes):
            raise Refused(Refusal.BODY_TOO_LARGE)
        content = bytearray()
        try:
            async with asyncio.timeout(limits.body_seconds):
                async for chunk in request.stream():
                    # Nobody has proved anything yet, so all together get no more than this.
                    if self._held_bytes[is_listed] + len(chunk) > limits.unverified_bytes:
                        raise Refused(Refusal.MEMORY_FULL)
                    self._held_bytes[is_listed] += len(chunk)
                    content += chunk
                    if len(content) > limits.body_bytes:
                        raise Refused(Refusal.BODY_TOO_LARGE)
        except TimeoutError:
            raise Refused(Refusal.BODY_TOO_SLOW) from None
        except ClientDisconnect:
            # Nobody hears this answer any more.
            raise Refused(Refusal.SENDER_LEFT) from None
        finally:
            self._held_bytes[is_listed] -= len(content)
        return bytes(content)


def _exceeds(declared: str, limit_bytes: int) -> bool:
    # A number of a thousand digits is not even read.
    return len(declared) > 18 or int(declared) > limit_bytes

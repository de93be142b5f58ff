"""Reads bodies within limits: bytes and seconds for each, and memory for all together."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request

from sat_hook.receiver.responses import Refusal, Refused
from sat_hook.receiver.settings import Limits


class Bodies:
    """The bodies that one receiver is reading, in one event loop."""

    def __init__(self) -> None:
        # Separate budgets for strangers and the allow-list, so expected senders always find room.
        self._held_bytes = {False: 0, True: 0}

    async def read(self, request: Request, limits: Limits, *, is_listed: bool) -> bytes:
        """Read the raw body, never more than the limit.

        :param is_listed: whether the sender is on the allow-list.
        :raises Refused: the body is too large (as declared or as received), too slow, or memory is used up.
        """
        declared = request.headers.get("content-length", "")
        if declared.isascii() and declared.isdigit() and _exceeds(declared, limits.body_bytes):
            raise Refused(Refusal.BODY_TOO_LARGE)
        content = bytearray()
        try:
            async with asyncio.timeout(limits.body_seconds):
                async for chunk in request.stream():
                    # These senders are unverified, so their bodies share one memory limit.
                    if self._held_bytes[is_listed] + len(chunk) > limits.unverified_bytes:
                        raise Refused(Refusal.MEMORY_FULL)
                    self._held_bytes[is_listed] += len(chunk)
                    content += chunk
                    if len(content) > limits.body_bytes:
                        raise Refused(Refusal.BODY_TOO_LARGE)
        except TimeoutError:
            raise Refused(Refusal.BODY_TOO_SLOW) from None
        except ClientDisconnect:
            # The sender is gone and does not get this answer.
            raise Refused(Refusal.SENDER_LEFT) from None
        finally:
            self._held_bytes[is_listed] -= len(content)
        return bytes(content)


def _exceeds(declared: str, limit_bytes: int) -> bool:
    # Ignore absurdly long numbers.
    return len(declared) > 18 or int(declared) > limit_bytes

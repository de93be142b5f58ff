"""Thin transports over the protocol: one that blocks (requests), one that does not (aiohttp)."""

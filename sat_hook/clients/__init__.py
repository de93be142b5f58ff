"""Clients over the protocol: a blocking one (requests) and an asynchronous one (aiohttp)."""

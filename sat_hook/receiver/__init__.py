"""The callback receiver: an ASGI app that verifies, stores and acknowledges, and decides nothing."""

"""The callback receiver: an ASGI app that verifies, stores and acknowledges callbacks. It decides nothing."""

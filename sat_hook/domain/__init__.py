"""The rules of an order and of a batch, pure: events, decide, evolve."""

"""The rules of orders, batches and accounts as pure functions: events, decide, evolve."""

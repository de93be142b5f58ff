"""Commands: one loop that loads a state, has it decided, appends the events and retries."""

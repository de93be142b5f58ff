"""Commands: one loop that loads a state, calls its decider, appends the events and retries on conflict."""

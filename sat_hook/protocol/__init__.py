"""The SAT wire, without any input or output: endpoints, messages, signing, outcomes."""

"""The SAT wire protocol without I/O: endpoints, messages, signing, outcomes."""

"""Measures the pipeline's speed against py-sat-sdk and against the limit of the wire."""

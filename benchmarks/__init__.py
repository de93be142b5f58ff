"""How fast the pipeline is, measured against py-sat-sdk and against what the wire alone allows."""

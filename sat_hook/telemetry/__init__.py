"""Figures, spans and logs for those who watch. Telemetry decides nothing and stops nothing."""

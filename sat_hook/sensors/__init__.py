"""Sensors: wait for the ends of orders without holding a worker."""

"""Alerts: what people should hear of at once: raised once, delivered at least once."""

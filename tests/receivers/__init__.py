"""Receivers on loopback that speak the protocols of the channels, and fail when told to."""

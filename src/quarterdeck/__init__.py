"""Quarterdeck runs agents and flows, and records, shows, steers and stops every session of them."""

__version__ = "0.1.0"

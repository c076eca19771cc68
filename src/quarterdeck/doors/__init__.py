"""The ways in; each turns its own words into use cases."""

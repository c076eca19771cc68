"""GitHub, and its Enterprise servers, as a forge that projects are connected to."""

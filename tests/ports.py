"""Ports of loopback that stay with the test that has them."""

import socket


def reserved() -> socket.socket:
    """A socket that has a port and doesn't listen there; a server of the test may, and nobody else can."""
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    taken.bind(("127.0.0.1", 0))
    return taken


def number(of: socket.socket) -> int:
    """The port that a socket has."""
    return int(of.getsockname()[1])

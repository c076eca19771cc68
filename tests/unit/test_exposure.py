import pytest

from quarterdeck.core.exposure import exposed


@pytest.mark.parametrize(
    ("scheme", "host", "expected"),
    [
        ("https", "example.org", False), ("http", "example.org", True), ("http", "10.0.0.5", True),
        ("http", "127.0.0.1", False), ("http", "127.9.9.9", False), ("http", "::1", False), ("http", "0.0.0.0", False),
        ("http", "fe80::1", True), ("http", "localhost", False), ("http", "LOCALHOST.", False),
        ("http", "a.localhost", False), ("http", "localhost.example.org", True), ("http", "127.0.0.1.nip.io", True),
        ("http", "127.1", True), ("", "", True), ("ftp", "example.org", True),
    ],
)  # fmt: skip
def test_a_token_may_be_sent_by_https_and_within_this_machine(scheme: str, host: str, expected: bool) -> None:
    assert exposed(scheme, host) is expected

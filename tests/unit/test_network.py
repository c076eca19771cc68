"""Which hosts may be reached, and which addresses a name may have."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.network import (
    GROUPS,
    REGISTRIES,
    NetworkPolicy,
    beyond,
    defined,
    expanded,
    normal_host,
    refusal_of,
    rules,
    written_out,
)


def policy(*allowed: str, within: tuple[str, ...] = ("*",), denied: tuple[str, ...] = ()) -> NetworkPolicy:
    return NetworkPolicy(allowed=allowed, denied=denied, within=(within,), named=written_out(within))


@pytest.mark.parametrize(
    ("rule", "reached", "not_reached"),
    [
        (
            "rubygems.org",
            ["rubygems.org:443", "rubygems.org:80"],
            ["rubygems.org:22", "www.rubygems.org:443", "xrubygems.org:443"],
        ),
        (
            "*.rubygems.org",
            ["www.rubygems.org:443", "a.b.rubygems.org:80"],
            ["rubygems.org:443", "xrubygems.org:443", "www.rubygems.org:1"],
        ),
        ("git.acme.test:2222", ["git.acme.test:2222"], ["git.acme.test:443"]),
        (" RubyGems.org ", ["rubygems.org:443"], []),
        ("*", ["a.test:443", "10.0.0.1:80"], ["a.test:25"]),
        ("rubygems", ["rubygems.org:443", "index.rubygems.org:443"], ["rubygems:443", "crates.io:443"]),
        (REGISTRIES, [f"{host}:443" for hosts in GROUPS.values() for host in hosts], ["evil.test:443"]),
        ("10.0.0.1:8080", ["10.0.0.1:8080"], ["10.0.0.1:80", "10.0.0.2:8080"]),
        ("[::1]:8080", ["::1:8080"], ["::1:80"]),
        ("*:8080", ["a.test:8080"], ["a.test:80"]),
    ],
)
def test_what_a_rule_covers(rule: str, reached: list[str], not_reached: list[str]) -> None:
    for places, expected in ((reached, True), (not_reached, False)):
        for place in places:
            host, _, port = place.rpartition(":")
            assert policy(rule, within=("*", rule)).permits(host, int(port)) is expected, place


@pytest.mark.parametrize(
    "text",
    ["", "a b", "a..b", "-a.test", "a.test:0", "a.test:65536", "a.test:x", "*.*.test", "*x.test", "http://a.test",
     "a/b",
     "*.1.2.3.4", "*.10", "[::1", "::1", "127.1", "0x7f.0.0.1", "2130706433", "ä.test", "a" * 64, "[a.test]x", "*."],
)  # fmt: skip
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="is no host"):
        rules(text)


def test_nothing_is_reached_that_is_not_in_all_lists() -> None:
    asked = policy("a.test", "*.b.test", "c.test", within=("a.test", "x.b.test"), denied=("x.b.test",))
    assert asked.permits("a.test", 443)
    assert not asked.permits("c.test", 443)
    assert not asked.permits("y.b.test", 443)
    assert not asked.permits("x.b.test", 443)
    assert not NetworkPolicy(allowed=("a.test",), within=(("a.test",), ())).permits("a.test", 443)
    assert not policy("a.test:99", denied=("a.test",), within=("a.test:99",)).permits("a.test", 99)


def test_what_is_asked_for_in_vain_is_known() -> None:
    within = ("a.test", "*.b.test", "rubygems", "c.test:8080")
    fine = ("a.test", "x.b.test", "*.x.b.test", "*.b.test", "rubygems.org", "c.test:8080", "a.test:80")
    vain = ("b.test", "c.test", "*", REGISTRIES, "a.test:81", "*.a.test")
    assert beyond((*fine, *vain), within) == vain
    assert beyond(("*", "*.x.test"), ("*",)) == ()


def test_groups_that_an_administrator_defines() -> None:
    text = " PyPI = a.test , *.b.test:8443 ;crates=none; own=10.0.0.1:8080;"
    groups = defined(text)
    assert groups == {"pypi": ("a.test", "*.b.test:8443"), "crates": (), "own": ("10.0.0.1:8080",)}
    assert defined("") == {}
    all_of_them = {**GROUPS, **groups}
    assert expanded(("x.test", " PYPI", "a.test", "crates", "hex"), all_of_them) == (
        "x.test",
        *groups["pypi"],
        *GROUPS["hex"],
    )
    everything = expanded((REGISTRIES,), all_of_them)
    assert {*groups["pypi"], *groups["own"], *GROUPS["go"]} < {*everything}
    assert not {*GROUPS["crates"]} & {*everything}
    # Nothing is a word any more, so that a runner of any version reads it alike.
    assert all(len(rules(host)) == 1 for host in everything)


@pytest.mark.parametrize(
    ("text", "told"),
    [("a.test", "is no group"), ("=a.test", "is no group"), ("a b=a.test", "is no group"),
     ("registries=a.test", "is no group"), ("server=a.test", "is no group"), ("a=http://x", "is no host"),
     ("a=crates", "a group itself"), ("a=pypi", "a group itself"), ("a=registries", "a group itself"),
     ("a=x.test; b=A", "a group itself"), ("b=a;a=x.test", "a group itself"),
     (";".join(f"a{n}=x.test" for n in range(51)), "At most 50")],
)  # fmt: skip
def test_what_is_no_definition_of_groups_is_refused(text: str, told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        defined(text)


def test_only_a_host_that_was_written_out_is_named() -> None:
    assert written_out(("rubygems", "*", "*.a.test", "a.test", "10.0.0.1:8080", "crates", "alpine")) == (
        "a.test",
        "10.0.0.1:8080",
    )
    named = policy("*", within=("*", "a.test"))
    assert (named.names("a.test", 443), named.names("a.test", 22), named.names("b.test", 443)) == (True, False, False)


MACHINE = "127.0.0.1 127.8.9.1 ::1 ::ffff:127.0.0.1 0.0.0.0 :: 64:ff9b::7f00:1 64:ff9b::7f00:0001 ::ffff:7f00:1"
LINK = "169.254.1.1 fe80::1 fe80::1%eth0 ::ffff:169.254.1.1"
METADATA = "169.254.169.254 ::ffff:169.254.169.254 fd00:ec2::254 100.100.100.200 168.63.129.16 64:ff9b::a9fe:a9fe"
PRIVATE = "10.1.2.3 172.16.0.1 172.31.255.255 192.168.1.1 fd12::1 fc00::1 ::ffff:10.0.0.1 64:ff9b::0a00:0001"
NOWHERE = (
    "100.64.0.1 192.0.2.1 198.18.0.1 224.0.0.1 240.0.0.1 255.255.255.255 ff02::1 2001:db8::1 2002:7f00:1::1 "
    "2001:0:1::1 64:ff9b:1::1 ::127.0.0.1 ::10.0.0.1 100::1 fec0::1"
)
PUBLIC = "1.1.1.1 93.184.216.34 2606:4700::1111 64:ff9b::101:101 ::ffff:1.1.1.1"


def test_addresses_by_what_they_are() -> None:
    for addresses, reason in (
        (MACHINE, "machine"),
        (LINK, "link-local"),
        (METADATA, "metadata"),
        (NOWHERE, "internet"),
    ):
        for address in addresses.split():
            assert reason in refusal_of(address, host="a.test", named=False), address
            assert reason in refusal_of(address, host="a.test", named=True), address
    for address in PRIVATE.split():
        assert "private" in refusal_of(address, host="a.test", named=False), address
        assert refusal_of(address, host="a.test", named=True) == "", address
    for address in PUBLIC.split():
        assert refusal_of(address, host="a.test", named=False) == "", address


def test_an_address_that_was_named_as_such_is_reached() -> None:
    for address in ("127.0.0.1", "169.254.169.254", "fe80::1", "::1", "100.64.0.1"):
        assert refusal_of(address, host=address, named=True) == ""
        assert refusal_of(address, host=address, named=False) != ""
    assert refusal_of("::1", host="[0:0::1]", named=True) == ""


@given(st.ip_addresses())
def test_no_address_within_an_ipv6_one_gets_through(address: object) -> None:
    text = str(address)
    ip = ip_address(text)
    if refusal_of(text, host="a.test", named=False) == "":
        inner = getattr(ip, "ipv4_mapped", None) or ip
        assert inner.is_global
        assert not inner.is_multicast
    if ip.version == 4 and not ip.is_global:
        for form in (
            f"::ffff:{text}",
            f"::{text}",
            f"64:ff9b::{text}",
            f"2002:{int(ip) >> 16:x}:{int(ip) & 0xFFFF:x}::",
        ):
            assert refusal_of(form, host="a.test", named=False)


@pytest.mark.parametrize(
    ("text", "host"),
    [("A.Test.", "a.test"), ("[::1]", "::1"), ("0:0:0::1", "::1"), ("10.0.0.1", "10.0.0.1"),
     ("fe80::1%eth0", ""), ("010.0.0.1", ""), ("127.1", ""), ("0x7f000001", ""), ("2130706433", ""), ("a.0x1", ""),
     ("a\nb", ""), ("a b", ""), ("", ""), (".", ""), ("a" * 254, ""),
     ("localhost", "localhost"), ("x_y.a-b.test", "x_y.a-b.test")],
)  # fmt: skip
def test_a_host_has_one_form(text: str, host: str) -> None:
    assert normal_host(text) == host

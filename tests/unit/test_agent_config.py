"""A project's agent-config.yml: what is read of it, and what is told of the rest."""

import pytest

from quarterdeck.core.agent_config import CacheConfig
from quarterdeck.flows.agent_config import read_config


def test_all_that_has_an_effect_and_a_note_on_all_that_has_none() -> None:
    asked = read_config(
        "image: python:3.13\n"
        "setup_script:\n  - pip install -e .\n  - make\n"
        "cache:\n  key: {files: [a.lock]}\n  paths: [.venv]\n"
        "id_tokens: {A: {aud: x}}\n"
        "network_policy:\n"
        "  include_recommended_allowed: true\n"
        "  allowed_domains: [a.test, '*.b.test', crates]\n"
        "  denied_domains: [c.b.test]\n"
        "  allow_all_unix_sockets: true\n"
        "  alowed_domains: [x]\n"
        "setup: x\n"
    )
    assert asked.faults == ()
    assert asked.setup_script == ("pip install -e .", "make")
    assert asked.allowed == ("a.test", "*.b.test", "crates", "registries")
    assert asked.denied == ("c.b.test",)
    assert asked.cache == CacheConfig(key="default", files=("a.lock",), paths=(".venv",))
    told = "\n".join(asked.notes)
    places = ("1:1 image", "8:1 id_tokens", "13:3 network_policy.allow_all_unix_sockets", "15:1 setup")
    for place in (*places, "14:3 network_policy.alowed_domains: unknown key, it has no effect. Known here: "):
        assert place in told
    assert len(asked.notes) == 5


def test_a_line_is_a_script_and_nothing_asks_for_nothing() -> None:
    assert read_config("setup_script: make\n").setup_script == ("make",)
    for text in ("", "# nothing\n", "{}", "setup_script:\nnetwork_policy:\ncache:\n"):
        asked = read_config(text)
        assert (asked.setup_script, asked.allowed, asked.faults, asked.notes) == ((), (), (), ())


def test_a_cache_has_one_form_and_needs_a_setup_script() -> None:
    script = "setup_script: make\n"
    plain = read_config(f"{script}cache: {{paths: [a, b], policy: pull}}\n")
    assert plain.cache == CacheConfig(key="default", paths=("a", "b"))
    assert "cache.policy: unknown key" in plain.notes[0]
    assert read_config(f"{script}cache: {{key: k, paths: [a]}}\n").cache == CacheConfig(key="k", paths=("a",))
    by_file = read_config(f"{script}cache: {{key: {{prefix: k, files: [l, m]}}, paths: [a]}}\n").cache
    assert by_file == CacheConfig(key="k", files=("l", "m"), paths=("a",))
    without = read_config("cache: {paths: [a]}\n")
    assert without.cache is None
    assert "the setup script makes" in without.notes[0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- a\n", "1:1 the file: it is a mapping"),
        ("a: [\n", "not YAML"),
        ("x: &a 1\ny: *a\n", "anchors"),
        ("setup_script: 7\n", "1:1 setup_script: "),
        ("setup_script: [a, 7]\n", "1:19 setup_script[1]: "),
        ("network_policy: x\n", "1:1 network_policy: "),
        ("network_policy:\n  allowed_domains: [a.test, 'http://x']\n", "2:29 network_policy.allowed_domains[1]: "),
        ("network_policy:\n  denied_domains: ['*.*']\n", "2:20 network_policy.denied_domains[0]: "),
        ("network_policy:\n  include_recommended_allowed: 'yes'\n", "2:3 network_policy.include_recommended_allowed: "),
        (f"network_policy:\n  allowed_domains: [{', '.join(['a.test'] * 1001)}]\n", "at most 1000 items"),
        ("cache: [x]\n", "1:1 cache: "),
        ("cache: {key: x}\n", "1:1 cache"),
        ("cache: {paths: []}\n", "cache.paths: "),
        ("cache: {paths: [x], key: {files: [a, b, c]}}\n", "at most 2 items"),
        (f"image: {'x' * 513}\n", "at most 512 characters"),
        (f"setup_script: {'x' * 70_000}\n", "bytes"),
    ],
)
def test_a_fault_has_its_place_and_leaves_nothing(text: str, told: str) -> None:
    asked = read_config(text)
    assert told in "\n".join(asked.faults)
    assert (asked.setup_script, asked.allowed, asked.denied) == ((), (), ())

import re

from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.core.model_rules import ModelRules, fits, joined

NAMES = st.text(alphabet="ab:-", max_size=8)
PATTERNS = st.text(alphabet="ab:*", max_size=8)


@given(PATTERNS, NAMES)
def test_a_star_stands_for_any_characters_and_all_else_for_itself(pattern: str, name: str) -> None:
    assert fits(pattern, name) is bool(re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), name))


def test_a_pattern_with_many_stars_is_answered_at_once() -> None:
    assert not fits("*a" * 100 + "b", "a" * 200)


RULES = st.builds(
    ModelRules,
    defaults=st.lists(NAMES, max_size=1).map(tuple),
    allow_lists=st.lists(st.lists(PATTERNS, max_size=2).map(tuple), max_size=1).map(tuple),
    tags=st.dictionaries(st.sampled_from("xyz"), NAMES, max_size=2),
    fallbacks=st.dictionaries(NAMES, st.lists(NAMES, max_size=3).map(tuple), max_size=2),
)


@given(st.lists(RULES, max_size=4), NAMES)
def test_the_narrowest_says_and_nobody_allows_what_a_wider_one_does_not(rules: list[ModelRules], name: str) -> None:
    whole = joined(rules)
    assert whole.default == next((rule.defaults[0] for rule in rules if rule.defaults), None)
    for tag in "xyz":
        assert whole.of_tags([tag]) == next((rule.tags[tag] for rule in rules if tag in rule.tags), None)
    alone = [rule.barred(name) for rule in rules]
    assert whole.barred(name) == next((reason for reason in alone if reason), None)
    for one in whole.chain(name):
        assert whole.barred(one) is None
        assert any(one in rule.fallbacks.get(name, ()) for rule in rules)


def test_a_pattern_is_of_the_names_that_have_all_its_parts_in_order() -> None:
    names = ("openai:gpt-6-mini", "openai:mini-gpt", "anthropic:mini")
    assert [fits("openai:*gpt*mini", name) for name in names] == [True, False, False]
    assert [fits("anthropic:mini", name) for name in names] == [False, False, True]


def test_the_rules_of_a_project_go_before_those_of_the_server() -> None:
    project = ModelRules(defaults=("a:1",), allow_lists=(("a:*",),), tags={"big": "a:2"})
    server = ModelRules(defaults=("b:1",), allow_lists=(("*:1",),), tags={"big": "b:2", "small": "a:1"})
    whole = joined([project, server])
    assert (whole.default, whole.of_tags(["big"]), whole.of_tags(["small"])) == ("a:1", "a:2", "a:1")
    assert [whole.barred(name) is None for name in ("a:1", "a:2", "b:1")] == [True, False, False]


def test_words() -> None:
    rules = ModelRules(allow_lists=(("a:*", "b:c"), ()), tags={"big": "a:1", "small": "b:c"}, defaults=())
    assert rules.default is None
    assert rules.barred("z:1") == "The model z:1 is not allowed here. Allowed are: a:*, b:c."
    assert rules.barred("a:1") == "The model a:1 is not allowed here. Allowed are: none."
    assert rules.of_tags(["huge", "small", "big"]) == "b:c"
    assert ModelRules(fallbacks={"a:1": ("b:1", "a:2")}, allow_lists=(("a:*",),)).chain("a:1") == ("a:2",)

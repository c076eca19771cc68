"""Prompts: what templates can do, and that none of them reaches out, runs on, or grows."""

import json
from typing import cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from quarterdeck.core.errors import InvalidInputError
from quarterdeck.flows import template_filters
from quarterdeck.flows.prompts import FILTERS, LOOP_ITEMS, PROMPT_CHARACTERS, TESTS, faults, names, render

VALUES: dict[str, object] = {
    "text": "One\ntwo",
    "words": ["b", "a", "A"],
    "people": [{"name": "Ada", "age": 36}, {"name": "Bob", "age": 4}],
    "facts": {"name": "shelf", "keys": [1, 2], "items": {"n": None}},
    "count": 3,
    "half": 2.5,
    "yes": True,
    "nothing": None,
    "empty": [],
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ text }}", "One\ntwo"),
        ("{{ words }} {{ facts.items }} {{ yes }} {{ half }}|{{ nothing }}", '["b", "a", "A"] {"n": null} true 2.5|'),
        (
            "{{ facts.keys }} {{ facts['keys'][0] }} {{ facts.keys[-1] }} {{ text[:3] }} {{ text[0] }}",
            "[1, 2] 1 2 One O",
        ),
        (
            "{% for p in people %}{{ loop.index }} {{ p.name }}{% if not loop.last %}, {% endif %}{% endfor %}",
            "1 Ada, 2 Bob",
        ),
        ("{% for p in people if p.age > 9 %}{{ p.name }}{% else %}none{% endfor %}", "Ada"),
        ("{% for x in empty %}{{ x }}{% else %}none{% endfor %}", "none"),
        (
            "{% for k, v in facts|items %}{{ k }}={{ v|tojson }};{% endfor %}",
            'name="shelf";keys=[1, 2];items={"n": null};',
        ),
        ("{% for k in facts %}{{ k }} {% endfor %}", "name keys items"),
        ("{% set first = words|sort|first %}{{ first|upper }}{{ words|last }}{{ empty|first }}", "AA"),
        ("{{ words|join(', ') }} {{ people|join('+', attribute='name') }}", "b, a, A Ada+Bob"),
        (
            "{{ words|unique|join }} {{ words|unique(case_sensitive=true)|join }} {{ words|sort(reverse=true)|first }}",
            "ba baA b",
        ),
        ("{{ people|sort(attribute='age')|join('', 'name') }}", "BobAda"),
        ("{{ text|replace('o', '0') }}{{ 'aaa'|replace('a', 'b', 1) }}", "One\ntw0baa"),
        ("{{ text|indent(2) }}|{{ text|indent('> ', first=true) }}", "One\n  two|> One\n> two"),
        ("{{ 'a b'|title }}{{ 'aB'|capitalize }}{{ 'aB'|lower }}{{ ' x '|trim }}{{ 'xax'|trim('x') }}", "A BAbabxa"),
        (
            "{{ half|round }} {{ 2.345|round(1) }} {{ -3|abs }} {{ '7'|int }} {{ 'x'|int(9) }} {{ words|length }}",
            "2.0 2.3 3 7 9 3",
        ),
        ("{{ nothing|default('d', true) }}{{ gone.x is defined }}{{ facts.gone|default('e') }}", "dfalsee"),
        ("{{ facts|string }}{{ 'ab'|list }}", '{"name": "shelf", "keys": [1, 2], "items": {"n": null}}["a", "b"]'),
        (
            "{{ facts is mapping }}{{ words is sequence }}{{ text is string }}{{ count is number }}"
            "{{ nothing is none }}",
            "true" * 5,
        ),
        ("{{ 'two' in text and count in [1, 3] and count == 3 and not yes is false }}", "true"),
        ("{{ words|tojson(indent=1) }}", '[\n "b",\n "a",\n "A"\n]'),
        ("{{ 'a' if count > 2 else 'b' }}", "a"),
        ("{% raw %}{{ text }}{% endraw %}{# no #}", "{{ text }}"),
    ],
)  # fmt: skip
def test_what_templates_can_do(template: str, text: str) -> None:
    assert render(template, {**VALUES, "gone": {}}) == text


@pytest.mark.parametrize(
    "template",
    [
        "{{ text.__class__ }}", "{{ text() }}", "{{ range(9) }}", "{{ ''|attr('x') }}", "{{ text * 1000000000 }}",
        "{{ 2 ** 999999999 }}", "{% include 'x' %}", "{% import 'x' as y %}", "{% extends 'x' %}",
        "{% macro m() %}{% endmacro %}", "{% call m() %}{% endcall %}", "{% block b %}{% endblock %}",
        "{% with x = 1 %}{% endwith %}", "{% set x %}a{% endset %}", "{% filter upper %}a{% endfilter %}",
        "{{ text|center(999999999) }}", "{{ text|map('upper') }}", "{% if text %}" * 2_000, "{{ unknown }}",
        "{{ text ~ text }}", "{{ text + text }}", "{{ [text, text] }}", "{{ {'a': 1} }}", "{{ text|join(*words) }}",
        "{% for a in words recursive %}{{ loop(a) }}{% endfor %}", "{% for a in words %}{{ loop }}{% endfor %}",
        "{% for a in words %}" * 3 + "{% endfor %}" * 3, "{% if text %}" * 13 + "{% endif %}" * 13,
        "{% for (a, (b, c)) in people %}{% endfor %}", "{{ loop.index }}", "{% set loop = 1 %}",
        "{{ " + "(" * 500 + "1" + ")" * 500 + " }}", "{{ " + "not " * 100 + "1 }}", "{{ " + "9" * 5_000 + " }}",
        "{{ text is divisibleby(3) }}", "{% set facts.name = 1 %}", "{{ 'abc'[:2] }}", "{{ 1[0] }}",
    ],
)  # fmt: skip
def test_what_templates_can_not_be_made_of_is_told_before_they_are_used(template: str) -> None:
    assert faults(template, frozenset(VALUES))
    with pytest.raises(InvalidInputError, match="prompt can't be written"):
        render(template, VALUES)


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ facts.gone }}", "there is no 'gone' in it"),
        ("{{ text.upper }}", "there is no 'upper' in it"),
        ("{{ words.append }}", "there is no 'append' in it"),
        ("{{ words[3] }}", "there is no 3 in it"),
        ("{{ facts.gone.more }}", "there is no 'gone' in it"),
        ("{% for x in text %}{% endfor %}", "a text can't be gone through"),
        ("{% for x in nothing %}{% endfor %}", "null can't be gone through"),
        ("{% for x in count %}{% endfor %}", "a number can't be gone through"),
        ("{% for a, b in words %}{% endfor %}", "not enough values"),
        ("{{ words|items }}", "a list is no mapping"),
        ("{{ count|length }}", "a number has no length"),
        ("{{ count|list }}", "a number is no list"),
        ("{{ text|abs }}", "only a number"),
        ("{{ text|round }}", "only a number"),
        ("{{ half|round(99) }}", "should be a number from 0 to 15"),
        ("{{ text|indent(true) }}", "should be a number from 0 to 200"),
        ("{{ people|sort(attribute='height') }}", "there is no 'height' in an item"),
        ("{{ people|sort }}", "not supported between"),
        ("{{ words|join(first=1) }}", "unexpected keyword"),
        ("{{ facts.gone|upper }}", "there is no 'gone' in it"),
        ("{{ facts.gone == 1 }}", "there is no 'gone' in it"),
    ],
)
def test_what_goes_wrong_is_said_in_words(template: str, why: str) -> None:
    assert faults(template, frozenset(VALUES)) == []
    with pytest.raises(InvalidInputError, match=why):
        render(template, VALUES)


BIG: dict[str, object] = {
    "big": "x" * 100_000,
    "lines": "\n" * 100_000,
    "long": list(range(LOOP_ITEMS)),
    "longer": list(range(LOOP_ITEMS + 1)),
    "heavy": [["y" * 100] * 100] * 100,
}
SET = "{% set a = big %}"


@pytest.mark.parametrize(
    "template",
    [
        "{{ big }}" * 3,
        "{{ lines|indent(200) }}",
        SET + "{% set a = a|replace('x', 'xx') %}" * 40 + "{{ a|length }}",
        SET + "{% set a = a|tojson|tojson|tojson %}" * 200,
        "{{ long|join(big) }}",
        "{% for i in longer %}{% endfor %}",
        "{% for i in long %}{% for j in long %}{{ i }}{% endfor %}{% endfor %}",
        "{% for i in long %}{% if big == big %}{% endif %}{% endfor %}",
        "{% for i in long %}{% if 'xy' in big %}{% endif %}{% endfor %}",
        "{% for i in long %}{% set s = heavy|sort|unique|tojson %}{% endfor %}",
        "{% for i in long %}{% set s = heavy|list|string %}{% endfor %}",
        "{% for i in long %}{{ heavy == heavy }}{% endfor %}",
    ],
)
def test_templates_that_come_to_too_much_are_stopped(template: str) -> None:
    assert faults(template, frozenset(BIG)) == []
    with pytest.raises(InvalidInputError, match=r"more than|at most|too much"):
        render(template, BIG)


ATTRIBUTES = sorted(
    {name for kind in (str, dict, list, int) for name in dir(kind)} | {"name", "keys", "items", "n", "0"}
)
SUBJECTS = st.sampled_from([*VALUES, *BIG, "x", "y", "'s'", "1"])
ATTRIBUTE = st.sampled_from(ATTRIBUTES)


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    arguments = st.sampled_from(["", "", "(x)", "('n')", "(attribute='name')", "(2)", "(big, text)", "(indent=8)"])
    return st.one_of(
        st.builds("{}.{}".format, inner, ATTRIBUTE),
        st.builds("{}['{}']".format, inner, ATTRIBUTE),
        st.builds("{}[{}]".format, inner, st.integers(-3, 3)),
        st.builds("{}[:{}]".format, inner, st.integers(-3, 3)),
        st.builds("({}|{}{})".format, inner, st.sampled_from(FILTERS), arguments),
        st.builds("({} is {})".format, inner, st.sampled_from(TESTS)),
        st.builds("({} {} {})".format, inner, st.sampled_from(["==", "<", "in", "and", "or"]), inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
    )


EXPRESSION = st.recursive(SUBJECTS, _grown, max_leaves=5)


def _around(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("{}{}".format, inner, inner),
        st.builds("{{% for x in {} %}}{}{{% endfor %}}".format, EXPRESSION, inner),
        st.builds("{{% for x, y in {}|items %}}{}{{% endfor %}}".format, EXPRESSION, inner),
        st.builds("{{% set x = {} %}}{}".format, EXPRESSION, inner),
        st.builds("{{% if {} %}}{}{{% endif %}}".format, EXPRESSION, inner),
    )


TEMPLATES = st.recursive(st.builds("{{{{ {} }}}}".format, EXPRESSION), _around, max_leaves=6)


@settings(deadline=None)
@given(TEMPLATES)
@example("{{ text.format }}")
@example("{% for x in long %}{% for x in long %}{{ x }}{% endfor %}{% endfor %}")
def test_no_template_reaches_python_or_gets_out_of_its_bounds(template: str) -> None:
    values = {**VALUES, **BIG, "x": 1, "y": "z"}
    try:
        text = render(template, values)
    except InvalidInputError as error:
        text = error.message
    assert len(text) <= PROMPT_CHARACTERS
    assert not any(trace in text for trace in (" object at ", "built-in method", "<class", "<function", "Undefined"))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_what_is_no_text_is_printed_as_json(value: object) -> None:
    shown = render("{{ v }}", {"v": value})
    if isinstance(value, str):
        assert shown == value.strip()
    elif value is not None:
        assert cast("object", json.loads(shown)) == value


def test_texts_are_never_templates_again() -> None:
    assert render("{{ a }}{{ b }}", {"a": "{{ b }}", "b": "{% for"}) == "{{ b }}{% for"


def test_what_one_rendering_costs_is_not_paid_by_the_next() -> None:
    half = template_filters.WORK // 100 // 3
    loop = "{% for i in long %}" + "{{ 1 }}" * (half // LOOP_ITEMS) + "{% endfor %}"
    for _ in range(3):
        assert render(loop, BIG)


def test_names_are_what_comes_from_outside() -> None:
    assert names("{% set a = b %}{% for c in d %}{{ loop.index }}{{ a }}{{ c }}{{ e.f }}{% endfor %}") == {
        "b",
        "d",
        "e",
    }
    assert names("{% if") == set()

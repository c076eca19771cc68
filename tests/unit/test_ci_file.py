from textwrap import dedent

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.pipeline import CiPipeline
from quarterdeck.forges.local import ci_file, expressions, patterns

PREDEFINED = {"CI": "true", "CI_COMMIT_BRANCH": "main", "CI_DEFAULT_BRANCH": "main", "CI_PIPELINE_SOURCE": "push"}


def pipeline(text: str, **more: str) -> CiPipeline:
    return ci_file.Reading(dedent(text), {**PREDEFINED, **more}).pipeline()


def fault(text: str) -> str:
    with pytest.raises(InvalidInputError) as caught:
        pipeline(text)
    return caught.value.message


def test_a_whole_file() -> None:
    made = pipeline("""
        stages: [build, test]
        variables:
          GREETING: hello
          COUNT: 3
          NOTED: {value: x, description: what it is for}
        default:
          before_script: [echo before]
          timeout: 1h 30m
          tags: [linux]
        .setup: &setup
          - echo one
          - echo two
        .job:
          variables: {A: parent, B: parent}
          artifacts: {paths: [out/], expire_in: 1 week}
        compile:
          stage: build
          script: [*setup, "echo three"]
          artifacts: {paths: [out/], when: always}
        unit tests:
          extends: .job
          variables: {B: own}
          script: pytest
          before_script: []
          allow_failure: true
          timeout: 90 minutes
          needs: [{job: compile, artifacts: false}, {job: gone, optional: true}]
        after:
          stage: .post
          needs: [compile]
          script: |
            echo a
            echo b
          after_script: [echo done]
          when: always
    """)
    assert made.stages == (".pre", "build", "test", ".post")
    compile_, tests, after = made.jobs
    assert compile_.script == ("echo one", "echo two", "echo three")
    assert compile_.before_script == ("echo before",)
    assert (compile_.artifact_paths, compile_.artifacts_when) == (("out/",), "always")
    assert (compile_.timeout_seconds, compile_.tags, compile_.needs) == (5400, ("linux",), None)
    assert tests.variables == {"GREETING": "hello", "COUNT": "3", "NOTED": "x", "A": "parent", "B": "own"}
    assert (tests.stage, tests.before_script, tests.allow_failure) == ("test", (), True)
    assert (tests.needs, tests.artifacts_from, tests.artifact_paths) == (("compile",), (), ("out/",))
    assert after.script == ("echo a\necho b\n",)
    assert (after.when, after.needs, after.artifacts_from) == ("always", ("compile",), ("compile",))
    assert CiPipeline.model_validate(made.model_dump(mode="json")) == made


def test_every_fault_at_once_by_name_line_and_job() -> None:
    message = fault("""\
        image: python:3.12
        include: {remote: "https://ci.example/x.yml"}
        stages: [test]
        lint:
          stage: lint
          script: make lint
          cache: {key: a}
          services: [postgres]
        unit:
          only: [main]
          parallel: 0
          script: []
          needs: [nobody]
          variables: {ON: true, BAD-NAME: x}
          timeout: soon
          allow_failure: {exit_codes: 3}
          artifacts: {reports: {junit: x.xml}, paths: [/etc/passwd]}
          rules:
            - if: $A ==
            - if: $A =~ /(?=x)/
            - changes: [a]
        word: text
        many:
          script: x
          retry: {max: 3, when: [on_full_moon], exit_codes: [256], wait: 5}
          parallel: {matrix: [{SIZE: []}], number: 2}
        often:
          script: x
          retry: {when: always}
          parallel: {matrix: [{A: [a, b, c, d, e, f], B: [1, 2, 3, 4, 5, 6], C: [1, 2, 3, 4, 5, 6]}]}
    """)
    lines = message.splitlines()[1:]
    expected = [
        (1, "`image` is not supported; jobs run in the runner's sandbox"),
        (2, "include: `remote` is not supported; only `include: local` is"),
        (5, "job lint: the stage 'lint' is not among the stages test"),
        (7, "job lint: `cache` is not supported"),
        (8, "job lint: `services` is not supported"),
        (10, "job unit: `only` is not supported; write `rules: - if:` instead"),
        (11, "job unit: parallel must be a number from 1 to 200"),
        (12, "job unit: its `script` is empty"),
        (13, "job unit: it needs nobody, but there is no such job"),
        (14, "job unit: variable ON must be a text or a number"),
        (14, "job unit: 'BAD-NAME' can't be the name of a variable"),
        (15, "job unit: timeout must be a duration"),
        (16, "job unit: `allow_failure: exit_codes` is not supported"),
        (17, "job unit: artifacts: `reports` is not supported"),
        (17, "job unit: artifacts: '/etc/passwd' must lie in the project"),
        (19, "job unit: `if: $A ==`: it ends where a value is expected"),
        (20, "job unit: `if: $A =~ /(?=x)/`: the pattern /(?=x)/: groups that begin with (? are not supported"),
        (21, "job unit: rules: `changes` is not supported"),
        (22, "job word: word is not a job"),
        (25, "job many: retry: max must be a number from 0 to 2"),
        (25, "job many: each of retry: when must be one of always, unknown_failure, script_failure"),
        (25, "job many: each of retry: exit_codes must be a number from 0 to 255"),
        (25, "job many: retry: `wait` is not supported"),
        (26, "job many: each of parallel: matrix needs variables with values"),
        (26, "job many: parallel: `number` is not supported"),
        (29, "job often: retry: it has no `max`; from 0 to 2"),
        (30, "job often: parallel: matrix comes to more than 200 jobs"),
    ]
    for number, words in expected:
        assert any(line.startswith(f"line {number}: {words}") for line in lines), (number, words, message)
    assert len(lines) == len(expected), message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: the file is empty"),
        ("[]", "line 1: the file must be a mapping"),
        ("variables: {A: b}", "there is no job in it"),
        (".hidden: {script: x}", "there is no job in it"),
        ("a: {stage: test}", "line 1: job a: it has no `script`"),
        ("a: [", "line 1: "),
        ("a: {script: x}\na: {script: y}", "line 2: the key 'a' is there twice; the first is on line 1"),
        ("a: {script: !x y}\na: {script: y}\na: 1", "not read\nline 2: the key 'a' is there twice"),
        ("a: {script: [!reference [.x, script]]}", "a: `!reference [.x, script]`: there is nothing of that name"),
        ("a: {script: !reference x}", "line 1: the tag !reference is not read; write `!reference [job, keyword]`"),
        ("a: {script: !reference [[a]]}", "line 1: job a: `!reference` needs a list of words"),
        ("a: {script: !reference [a, script]}", "job a: `!reference [a, script]` goes in a circle"),
        ("a: {script: x, needs: ['b: [1]']}\nb: {script: x}", "job a: it needs b: [1], but there is no such job"),
        ("a: {script: x, parallel: 300}", "a number from 1 to 200"),
        ("a: {script: x, parallel: 200}\nb: {script: x, parallel: 200}\nc: {script: x, parallel: 200}", "600 jobs"),
        ("workflow: {name: x}\na: {script: x}", "line 1: workflow: `name` is not supported"),
        (".b: {variables: {A: '" + "x" * 60_000 + "'}}\na: {extends: .b, script: x, parallel: 100}", "characters"),
        ("a: {script: x, needs: [" + "b, " * 51 + "]}\nb: {script: x}", "it needs 51 jobs; a job may need 50"),
        ("a: {script: x, needs: [b]}\nb: {script: x, needs: [a]}", "the `needs` of a, b go in a circle"),
        ("a: {script: x, needs: [b]}\nb: {script: x, rules: [{when: never}]}", "its rules keep it out"),
        ("a: {script: x, extends: b}\nb: {script: x, extends: a}", "goes in a circle"),
        ("a: {script: x, extends: zz}", "`extends: zz`: there is no such job"),
        ("a: {script: {x: y}}", "script must be commands; put a command that has `: ` in quotes"),
        ("a: &a [*a]", "nested"),
        ("a: {script: x}\n---\nb: 1", "line 2: "),
        ("a: {script: \x01}", "characters"),
        ("[" * 5000, "nested too deeply"),
        ("x" * 300_000, "at most 131,072 are read"),
    ],
)
def test_a_fault_says_where_and_what(text: str, said: str) -> None:
    assert said in fault(text)


def test_aliases_that_would_explode_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]" for n in range(1, 12)]
    assert "more than 20,000 values" in fault("\n".join(lines))


def test_rules_choose_the_first_that_holds() -> None:
    text = """
        deploy:
          script: ship
          rules:
            - if: $CI_COMMIT_BRANCH == "main"
              when: manual
              allow_failure: true
              variables: {TARGET: production}
            - if: $CI_COMMIT_BRANCH =~ /^feature/
              variables: {TARGET: review}
            - when: never
        always: {script: x}
    """
    deploy, _ = pipeline(text).jobs
    assert (deploy.when, deploy.allow_failure, deploy.variables) == ("manual", True, {"TARGET": "production"})
    deploy, _ = pipeline(text, CI_COMMIT_BRANCH="feature/x").jobs
    assert (deploy.when, deploy.allow_failure, deploy.variables) == ("on_success", False, {"TARGET": "review"})
    assert [job.name for job in pipeline(text, CI_COMMIT_BRANCH="other").jobs] == ["always"]


def test_the_workflow_keeps_a_whole_pipeline_out() -> None:
    text = """
        workflow:
          rules:
            - if: $CI_PIPELINE_SOURCE == "push"
              variables: {WAY: pushed}
        a: {script: x}
    """
    assert pipeline(text).jobs[0].variables == {"WAY": "pushed"}
    kept_out = pipeline(text, CI_PIPELINE_SOURCE="api")
    assert kept_out.jobs == ()
    assert kept_out.left_out == (
        "`workflow: rules` (line 3) let no pipeline start: "
        "none holds for CI_PIPELINE_SOURCE=api and CI_COMMIT_BRANCH=main"
    )
    never = "workflow: {rules: [{if: $CI, when: never}, {when: always}]}\na: {script: x}"
    assert "the rule of line 1 holds" in pipeline(never).left_out
    ruled = pipeline("a: {script: x, rules: [{if: $NOTHING}]}")
    assert (ruled.jobs, ruled.left_out) == ((), "the rules of its jobs let none of them in")
    assert pipeline("a: {script: x}").left_out == ""


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("$A", True),
        ("${A}", True),
        ("$EMPTY", False),
        ("$NONE", False),
        ("$A == 'a'", True),
        ('$A != "a"', False),
        ("$NONE == null", True),
        ("$EMPTY == null", False),
        ("$NONE == $OTHER", True),
        ("$A == $B || $A == 'a' && $B == 'b'", True),
        ("($A == $B || $A == 'a') && $B == 'x'", False),
        ("$V =~ /^v\\d+\\.\\d+$/", True),
        ("$V !~ /^v/", False),
        ("$V =~ /^V1/i", True),
        ("$V =~ /^V1/", False),
        ("$PATH_ =~ /^a\\/b$/", True),
        ("$V =~ $P", True),
        ("$NONE =~ /x/", False),
        ("$NONE !~ /x/", True),
    ],
)
def test_expressions(text: str, truth: bool) -> None:
    known = {"A": "a", "B": "b", "EMPTY": "", "V": "v1.20", "PATH_": "a/b", "P": "/^v[0-9]/"}
    assert expressions.holds(expressions.parse(text), known) is truth


@pytest.mark.parametrize(
    "text",
    ["", "$A ==", "== $A", "$A $B", "($A", "$A)", "$A === 'x'", "a", "$A =~ /(/", "$A =~ /x/s", "$A =~ 'x'", "(" * 99],
)
def test_expressions_that_are_none(text: str) -> None:
    with pytest.raises(expressions.ExpressionError):
        expressions.holds(expressions.parse(text), {"A": "a"})


_PATTERN = st.recursive(
    st.sampled_from(["a", "b", ".", "[ab]", "[^a]", "[a-c]", "\\w", "\\D", "^", "$", "\\b", "\\."]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{0,}", "*?"])).map(
            lambda pair: f"({pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=6,
)


@given(_PATTERN, st.text(alphabet="abcB1. ", max_size=8), st.booleans())
@example(".[^a](a)*", "1a", True)
@example("[^B-b]", "AB", True)
def test_patterns_match_what_python_matches(pattern: str, text: str, ignore_case: bool) -> None:
    import re

    expected = re.search(pattern.replace("$", r"\Z"), text, re.ASCII | (re.IGNORECASE if ignore_case else 0))
    assert patterns.search(pattern, text, ignore_case=ignore_case) == (expected is not None)


def test_a_costly_pattern_is_bounded() -> None:
    assert not patterns.search("(a+)+$", "a" * 200 + "b")
    for pattern in ("(((a?){1000}){1000}){1000}b", "((){1000}){1000}", "(.*){900}(.*){900}x"):
        with pytest.raises(patterns.PatternError, match="too long"):
            patterns.search(pattern, "a" * 250)

"""Pipelines of several files, and jobs that are made from others."""

import json
import re
from functools import reduce
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.app.outside import FoundFile
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.pipeline import CiPipeline, CiRetry, JobFailure, tries_again
from quarterdeck.forges.local import ci_file, ci_includes

Json = dict[str, object]
PREDEFINED = {"CI_COMMIT_BRANCH": "main", "CI_PIPELINE_SOURCE": "push"}


def pipeline(files: dict[str, str], root: str = "") -> CiPipeline:
    """Of files by their paths; `root` is the text of the first, when it is not among them."""
    reading = ci_file.Reading(dedent(root or files[".gitlab-ci.yml"]), PREDEFINED)
    rounds = 0
    while wanted := reading.wanted:
        rounds += 1
        assert rounds <= ci_includes.DEPTH
        names = {name: ci_includes.fitting(name, list(files)) if "*" in name else [name] for name in wanted}
        reading.take({name: [_file(files, path) for path in paths if path in files] for name, paths in names.items()})
    return reading.pipeline()


def _file(files: dict[str, str], path: str) -> FoundFile:
    data = dedent(files[path]).encode()
    return FoundFile(path, len(data), data if len(data) <= ci_includes.FILE_BYTES else None)


def fault(files: dict[str, str], root: str = "") -> str:
    with pytest.raises(InvalidInputError) as caught:
        pipeline(files, root)
    return caught.value.message


def test_files_that_include_others() -> None:
    made = pipeline({
        ".gitlab-ci.yml": """
            include:
              - /ci/base.yml
              - local: ci/jobs/*.yml
              - {local: ci/nightly.yml, rules: [{if: $CI_PIPELINE_SOURCE == "schedule"}]}
              - {local: ci/main.yml, rules: [{if: $CI_COMMIT_BRANCH == "main"}]}
            variables: {LEVEL: root}
            unit: {variables: {OWN: root}}
        """,
        "ci/base.yml": """
            include: {local: ci/common.yml}
            stages: [check, test]
            default: {retry: 1}
            .python: {before_script: [python3 --version], variables: {LEVEL: base, BASE: "1"}}
        """,
        "ci/common.yml": "variables: {LEVEL: common, COMMON: '1'}\ndefault: {tags: [linux], retry: 2}",
        "ci/jobs/b.yml": "unit: {extends: .python, stage: test, script: [pytest], variables: {OWN: file, FILE: '1'}}",
        "ci/jobs/a.yml": "lint: {stage: check, script: [ruff]}",
        "ci/jobs/deep/c.yml": "deep: {script: [never]}",
        "ci/main.yml": "ship: {stage: test, script: [ship]}",
    })  # fmt: skip
    jobs = {job.name: job for job in made.jobs}
    assert made.stages == (".pre", "check", "test", ".post")
    assert sorted(jobs) == ["lint", "ship", "unit"]
    assert jobs["unit"].variables == {"LEVEL": "base", "BASE": "1", "COMMON": "1", "OWN": "root", "FILE": "1"}
    assert jobs["lint"].variables == {"LEVEL": "root", "COMMON": "1"}
    assert (jobs["unit"].tags, jobs["unit"].retry, jobs["unit"].before_script) == (
        ("linux",), CiRetry(most=1), ("python3 --version",)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({".gitlab-ci.yml": "include: ci/a.yml"}, "line 1: `include: ci/a.yml`: there is no such file at this commit"),
        ({".gitlab-ci.yml": "include: 'ci/*.yml'"}, "line 1: `include: ci/*.yml`: no file fits it at this commit"),
        (
            {".gitlab-ci.yml": "include: a.yml", "a.yml": "include: b.yml", "b.yml": "include: a.yml\nj: {script: x}"},
            "b.yml line 1: `include: a.yml` goes in a circle: .gitlab-ci.yml → a.yml → b.yml → a.yml",
        ),
        (
            {".gitlab-ci.yml": "include: .gitlab-ci.yml\nj: {script: x}"},
            "`include: .gitlab-ci.yml` goes in a circle: .gitlab-ci.yml → .gitlab-ci.yml",
        ),
        (
            {".gitlab-ci.yml": "include: f0.yml\nj: {script: x}"}
            | {f"f{n}.yml": f"include: f{n + 1}.yml" for n in range(12)},
            "f9.yml line 1: `include: f10.yml` goes deeper than 10 levels: .gitlab-ci.yml → f0.yml → f1.yml",
        ),
        (
            {".gitlab-ci.yml": "include: '*.yml'"} | {f"f{n}.yml": "j: {script: x}" for n in range(101)},
            "a pipeline may include 100 files",
        ),
        ({".gitlab-ci.yml": "include: a.yml", "a.yml": "x" * 140_000}, "it has 140,000 bytes; at most 131,072"),
        (
            {".gitlab-ci.yml": "include: '*.yml'"} | {f"f{n}.yml": "#" * 120_000 + "\na: 1" for n in range(5)},
            "all files together have more than 524,288 bytes",
        ),
        (
            {".gitlab-ci.yml": "include: '*.yml'"} | {f"f{n}.yml": f"a: [{'1, ' * 8000}]" for n in range(4)},
            "more than 20,000 values",
        ),
        ({".gitlab-ci.yml": "include: a.yml", "a.yml": "a: {script: x}\nb: ["}, "a.yml line 2: not YAML"),
        ({".gitlab-ci.yml": "include: a.yml", "a.yml": "[]"}, "a.yml line 1: the file must be a mapping"),
        ({".gitlab-ci.yml": "include: a.yml", "a.yml": ""}, "a.yml line 1: the file is empty"),
        ({".gitlab-ci.yml": "include: a.yml", "a.yml": "\na: {script: x, cache: y}"}, "a.yml line 2: job a: `cache`"),
    ],
)  # fmt: skip
def test_a_fault_of_several_files_says_in_which(files: dict[str, str], said: str) -> None:
    assert said in fault(files)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("https://ci.example/a.yml", "files of elsewhere are not supported"),
        ("{template: Jobs/Build.gitlab-ci.yml}", "include: `template` is not supported; only `include: local` is"),
        ("{project: a/b, file: c.yml}", "include: `project` is not supported"),
        ("{component: a/b/c@1}", "include: `component` is not supported"),
        ("{local: a.yml, inputs: {x: y}}", "include: `inputs` is not supported"),
        ("{local: a.yml, rules: [{exists: [x]}]}", "include: rules: `exists` is not supported"),
        ("{local: a.yml, rules: [{if: $A, when: manual}]}", "include: when must be one of always, never"),
        ("{}", "include: an entry has no `local`"),
        ("{local: [a.yml]}", "include: `local` must be a text"),
        ("../a.yml", "must be a path from the top of the repository"),
        ("//etc/a.yml", "must be a path from the top of the repository"),
        ("a.txt", "must end with .yml or .yaml"),
        ("$CI_COMMIT_BRANCH.yml", "variables in paths are not supported"),
        ("a**.yml", "`**` stands at the beginning of a name"),
    ],
)
def test_what_can_not_be_included_is_refused_by_name(entry: str, said: str) -> None:
    text = fault({"a.yml": "b: {script: x}"}, f"include:\n  - {entry}\na: {{script: x}}")
    assert f"line 2: {said}" in text or said in text.splitlines()[1], text


_NAMES = st.sampled_from(["a", "b", "ab", "x.yml", ".y.yml"])
_PARTS = st.sampled_from(["a", "b", "*", "a*", "*b", "*a*b*", "**", "**.yml", "*.yml", ".y.yml"])


@given(st.lists(_PARTS, min_size=1, max_size=4).map("/".join), st.lists(_NAMES, min_size=1, max_size=4).map("/".join))
def test_patterns_fit_as_an_expression_says_it(pattern: str, path: str) -> None:
    """The expression goes back and forth, which the server's own way never does."""
    words = re.split(r"(\*\*/|\*\*|\*)", pattern)
    ways = {"**/": "(?:[^/]+/)*", "**": "(?:[^/]+/)*[^/]*", "*": "[^/]*"}
    expected = re.fullmatch("".join(ways.get(word, re.escape(word)) for word in words), path) is not None
    assert (ci_includes.fitting(pattern, [path]) == [path]) == expected


def test_a_hostile_pattern_takes_no_time() -> None:
    assert ci_includes.fitting("*a" * 120 + ".yml", ["a" * 4000]) == []
    assert ci_includes.fitting("**/a/" * 50 + "b.yml", ["a/" * 2000 + "c.yml"]) == []


def laid_over(under: Json, over: Json) -> Json:
    """What merging means, said once more in plain values."""
    found = dict(under)
    for name, value in over.items():
        below = found.get(name)
        found[name] = laid_over(below, value) if isinstance(below, dict) and isinstance(value, dict) else value  # pyright: ignore[reportUnknownArgumentType]
    return found


_TEXTS = st.sampled_from(["x", "y", "z"])
_NONE: dict[str, st.SearchStrategy[object]] = {}
_JOB: st.SearchStrategy[Json] = st.fixed_dictionaries(
    _NONE,
    optional={
        "script": st.lists(_TEXTS, min_size=1, max_size=2),
        "before_script": st.lists(_TEXTS, max_size=2) | st.none(),
        "variables": st.dictionaries(st.sampled_from(["A", "B", "C"]), _TEXTS) | st.none(),
        "tags": st.lists(_TEXTS, min_size=1, max_size=2),
        "timeout": st.sampled_from(["1h", "2h"]),
        "retry": st.integers(0, 2) | st.fixed_dictionaries({"max": st.just(1)}, optional={"when": st.just("always")}),
        "artifacts": st.fixed_dictionaries(_NONE, optional={"paths": st.just(["out"]), "when": st.just("always")}),
        "parallel": st.integers(1, 3) | st.just({"matrix": [{"M": ["1", "2"]}]}),
    },
)
_FILE: st.SearchStrategy[Json] = st.fixed_dictionaries(
    _NONE,
    optional={
        "one": _JOB,
        "two": _JOB,
        ".three": _JOB,
        "default": st.fixed_dictionaries(_NONE, optional={"tags": st.just(["d"]), "retry": st.just(2)}),
        "variables": st.dictionaries(st.sampled_from(["A", "V"]), _TEXTS),
        "stages": st.sampled_from([["test"], ["test", "more"]]),
    },
)


def outcome(files: dict[str, str]) -> CiPipeline | str:
    """The pipeline, or its faults without their places, and so in no order of those."""
    try:
        return pipeline(files)
    except InvalidInputError as error:
        return "\n".join(sorted(re.sub(r"(?m)^(- )?(\S+ )?line \d+: ", "- ", error.message).splitlines()))


@given(st.lists(_FILE, min_size=1, max_size=5), st.data())
def test_files_together_are_one_file_in_which_each_lies_over_what_it_includes(
    contents: list[Json], data: st.DataObject
) -> None:
    last = len(contents) - 1
    includes = [
        data.draw(st.lists(st.sampled_from(range(n + 1, last + 1)), max_size=3)) if n < last else []
        for n in range(last + 1)
    ]

    def whole(n: int) -> Json:
        return laid_over(reduce(laid_over, [whole(m) for m in includes[n]], {}), contents[n])

    files = {
        f"f{n}.yml" if n else ".gitlab-ci.yml": json.dumps({"include": [f"f{m}.yml" for m in includes[n]]} | one)
        for n, one in enumerate(contents)
    }
    assert outcome(files) == outcome({".gitlab-ci.yml": json.dumps(whole(0) or {"stages": []})})


@given(st.lists(_JOB, min_size=1, max_size=5), st.data())
def test_extending_is_merging_in_order(jobs: list[Json], data: st.DataObject) -> None:
    last = len(jobs) - 1
    parents = [data.draw(st.lists(st.sampled_from(range(n)), max_size=3)) if n else [] for n in range(last + 1)]

    def whole(n: int) -> Json:
        return laid_over(reduce(laid_over, [whole(m) for m in parents[n]], {}), jobs[n])

    named: Json = {
        f".{n}" if n < last else "job": {**job, **({"extends": [f".{m}" for m in parents[n]]} if parents[n] else {})}
        for n, job in enumerate(jobs)
    }
    expected = {name: value for name, value in whole(last).items() if value is not None}
    text = json.dumps(dict(data.draw(st.permutations(list(named.items())))))
    assert outcome({".gitlab-ci.yml": text}) == outcome({".gitlab-ci.yml": json.dumps({"job": expected})})


def test_extends_has_bounds() -> None:
    deep = ".b0: {script: x}\n" + "".join(f".b{n}: {{extends: .b{n - 1}}}\n" for n in range(1, 12))
    assert pipeline({}, f"{deep}a: {{extends: .b9}}").jobs[0].script == ("x",)
    assert "goes deeper than 10 levels" in fault({}, f"{deep}a: {{extends: .b11}}")
    backwards = "".join(f".b{n}: {{extends: .b{n - 1}}}\n" for n in range(300, 0, -1)) + ".b0: {script: x}\n"
    assert "goes deeper than 10 levels" in fault({}, f"a: {{extends: .b300}}\n{backwards}")
    wide = ".b0: {script: x}\n" + "".join(
        f".b{n}: {{extends: [{', '.join([f'.b{n - 1}'] * 50)}]}}\n" for n in range(1, 10)
    )
    assert pipeline({}, f"{wide}a: {{extends: .b9}}").jobs[0].script == ("x",)  # each is made once
    circle = fault({}, ".a: {extends: .b}\n.b: {extends: .c}\n.c: {extends: .a}\nd: {extends: .a, script: x}")
    assert "line 3: job .c: `extends: .a` goes in a circle: d → .a → .b → .c → .a" in circle


def test_references_bring_what_stands_there() -> None:
    made = pipeline({
        ".gitlab-ci.yml": """
            include: base.yml
            variables: {WHO: world}
            default: {tags: !reference [.set, tags]}
            job:
              script:
                - !reference [.more, script]
                - echo own
              variables: {GREETED: !reference [variables, WHO], ALL: !reference [.set, variables, ALL]}
              rules:
                - !reference [.set, rules]
                - when: never
              after_script: !reference [.set, after_script]
        """,
        "base.yml": """
            .set:
              tags: [linux]
              variables: {ALL: all}
              rules: [{if: $CI_COMMIT_BRANCH == "main", variables: {RULED: "yes"}}]
              script: [echo set]
              after_script: [echo after]
            .more: {extends: .set, before_script: [x], script: [!reference [.set, script], echo more]}
        """,
    })  # fmt: skip
    (job,) = made.jobs
    assert job.script == ("echo set", "echo more", "echo own")
    assert job.variables == {"WHO": "world", "GREETED": "world", "ALL": "all", "RULED": "yes"}
    assert (job.tags, job.after_script) == (("linux",), ("echo after",))


def test_references_have_bounds() -> None:
    text = ".r0: {script: [a, b]}\n" + "".join(
        f".r{n}: {{script: [{', '.join([f'!reference [.r{n - 1}, script]'] * 9)}]}}\n" for n in range(1, 9)
    )
    assert "all references bring more than 100,000 values" in fault(
        {}, f"{text}a: {{script: !reference [.r8, script]}}"
    )
    chain = ".r0: {script: [a]}\n" + "".join(
        f".r{n}: {{script: !reference [.r{n - 1}, script]}}\n" for n in range(1, 12)
    )
    assert pipeline({}, f"{chain}a: {{script: !reference [.r9, script]}}").jobs[0].script == ("a",)
    assert "goes deeper than 10 levels" in fault({}, f"{chain}a: {{script: !reference [.r11, script]}}")


def test_a_job_as_several() -> None:
    made = pipeline({}, """
        stages: [build, test]
        variables: {CI_NODE_TOTAL: mine}
        build:
          stage: build
          script: make
          tags: ["$OS", "big-${ARCH}", "$UNKNOWN"]
          variables: {ARCH: none, OS: none}
          rules:
            - if: $OS == "mac" && $ARCH == "x86"
              when: never
            - when: on_success
          parallel:
            matrix:
              - {OS: [linux, mac], ARCH: [x86, arm]}
              - {OS: bsd, ARCH: 64}
        unit: {stage: test, script: x, parallel: 3, needs: [{job: build, parallel: {matrix: [{OS: bsd, ARCH: 64}]}}]}
        all: {stage: test, script: x, needs: [build, {job: unit, artifacts: false}]}
        one: {stage: test, script: x, needs: ["unit 2/3", "build: [linux, arm]"]}
    """)  # fmt: skip
    jobs = {job.name: job for job in made.jobs}
    builds = ["build: [linux, x86]", "build: [linux, arm]", "build: [mac, arm]", "build: [bsd, 64]"]
    units = ["unit 1/3", "unit 2/3", "unit 3/3"]
    assert list(jobs) == [*builds, *units, "all", "one"]
    assert jobs["build: [mac, arm]"].variables == {
        "CI_NODE_TOTAL": "5", "CI_NODE_INDEX": "4", "OS": "mac", "ARCH": "arm"
    }  # fmt: skip
    assert jobs["build: [bsd, 64]"].tags == ("bsd", "big-64", "$UNKNOWN")
    assert jobs["unit 2/3"].variables == {"CI_NODE_TOTAL": "3", "CI_NODE_INDEX": "2"}
    assert jobs["unit 2/3"].needs == ("build: [bsd, 64]",)
    assert (jobs["all"].needs, jobs["all"].artifacts_from) == ((*builds, *units), tuple(builds))
    assert jobs["one"].needs == ("unit 2/3", "build: [linux, arm]")
    long = pipeline({}, f"a: {{script: x, parallel: {{matrix: [{{A: [{'y' * 251}, z]}}]}}}}")
    assert [job.name for job in long.jobs] == ["a 1/2", "a 2/2"]
    alone = pipeline({}, "a: {script: x, parallel: 1}")
    assert [(job.name, job.variables["CI_NODE_TOTAL"]) for job in alone.jobs] == [("a 1/1", "1")]


def test_retry_is_read() -> None:
    made = pipeline({}, """
        default: {retry: 1}
        a: {script: x}
        b: {script: x, retry: {max: 2, when: [script_failure, runner_system_failure]}}
        c: {script: x, retry: {max: 1, exit_codes: [3, 137]}}
        d: {script: x, retry: {max: 1, exit_codes: 3, when: job_execution_timeout}}
        e: {script: x, retry: 0}
    """)  # fmt: skip
    assert {job.name: job.retry for job in made.jobs} == {
        "a": CiRetry(most=1),
        "b": CiRetry(most=2, when=("script_failure", "runner_system_failure")),
        "c": CiRetry(most=1, when=(), exit_codes=(3, 137)),
        "d": CiRetry(most=1, when=("job_execution_timeout",), exit_codes=(3,)),
        "e": CiRetry(most=0),
    }


@pytest.mark.parametrize(
    ("retry", "failures", "why", "exit_code", "again"),
    [
        (None, 1, "script_failure", 1, False),
        (CiRetry(most=0), 1, "script_failure", 1, False),
        (CiRetry(most=1), 1, "script_failure", 1, True),
        (CiRetry(most=1), 2, "script_failure", 1, False),
        (CiRetry(most=2), 2, "runner_system_failure", None, True),
        (CiRetry(most=2, when=("script_failure",)), 1, "job_execution_timeout", None, False),
        (CiRetry(most=2, when=("job_execution_timeout",)), 1, "job_execution_timeout", None, True),
        (CiRetry(most=2, when=(), exit_codes=(3,)), 1, "script_failure", 3, True),
        (CiRetry(most=2, when=(), exit_codes=(3,)), 1, "script_failure", 4, False),
    ],
)
def test_when_a_failed_job_is_tried_again(
    retry: CiRetry | None, failures: int, why: JobFailure, exit_code: int | None, again: bool
) -> None:
    assert tries_again(retry, failures, why, exit_code) is again

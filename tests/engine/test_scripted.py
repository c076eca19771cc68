"""The scripted model: conversations with it, and the script that ships, against the sample project's real files."""

import asyncio
import re
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from pydantic import JsonValue

from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.events import AnswerCall, Outcome
from quarterdeck.core.fold import FINAL_RESPONSE
from quarterdeck.core.history import Answered, Message, Result, Results, Said
from quarterdeck.engine.models import searches
from quarterdeck.engine.models.model import Model, ModelRejectedError, ModelUnavailableError, Reply, Request
from quarterdeck.engine.models.script import Step, read_script
from quarterdeck.engine.models.scripted import ScriptedModel
from quarterdeck.flows.library import Library
from quarterdeck.forges.local import sample
from quarterdeck.tools.catalogue import CATALOGUE

SESSIONS = iter(range(1, 1_000_000))


@dataclass
class Talk:
    """A conversation that grows as the brain makes it grow; a new model answers each time, as after any crash."""

    script: str
    messages: list[Message] = field(default_factory=list[Message])
    session: int = field(default_factory=lambda: next(SESSIONS))
    pieces: list[str] = field(default_factory=list[str])
    component: str = "a"

    async def ask(self) -> Reply:
        async def on_text(text: str) -> None:
            self.pieces.append(text)

        model: Model = ScriptedModel("scripted:test", self.script)
        reply = await model.answer(
            Request(self.component, "", tuple(self.messages), tuple(CATALOGUE.values()), self.session), on_text
        )
        calls = tuple(
            AnswerCall(call_id=c.provider_id, provider_id=c.provider_id, tool=c.tool, args=c.args) for c in reply.calls
        )
        self.messages.append(Answered(reply.text, reply.thinking, calls, reply.opaque, reply.model))
        return reply

    def say(self, text: str) -> None:
        self.messages.append(Said(text))

    def bring(self, *texts: str, outcome: Outcome = Outcome.OK) -> None:
        answered = self.messages[-1]
        assert isinstance(answered, Answered)
        self.messages.append(
            Results(
                tuple(
                    Result(call.call_id, call.provider_id, call.tool, call.args, outcome, text)
                    for call, text in zip(answered.calls, texts, strict=True)
                )
            )
        )


SCRIPT = """\
components:
  a:
    - expect: 'number (\\d+)'
      capture: {number: 'number (\\d+)'}
      say: I look for {number}, not for {{number}}.
      call: {tool: grep, args: {pattern: '{number}', case_insensitive: true}}
    - expect: '^{number}:'
      capture:
        path: '^{number}: (\\S+)$'
        first: {of: grep, pattern: '(\\w+)'}
      call:
        - {tool: read_file, args: {file_path: '{path}'}}
        - {tool: todo_write, args: {items: [{text: 'read {path}', status: '{{#number}}'}], n: ['{#number}', '{#path}']}}
    - when: oh no
      say: Never mind.
    - say: 'It was {first} in {path}.'
"""


async def test_a_conversation_goes_on_by_what_it_is_told() -> None:
    talk = Talk(SCRIPT)
    talk.say("find number 42")
    reply = await talk.ask()
    assert (reply.text, reply.model) == ("I look for 42, not for {number}.", "scripted:test")
    assert (reply.usage.requests, reply.usage.input_tokens, reply.usage.cost) == (1, 0, 0)
    assert [(call.tool, call.args) for call in reply.calls] == [("grep", {"pattern": "42", "case_insensitive": True})]
    assert talk.pieces[-1] == reply.text
    assert len(talk.pieces) > 1
    assert all(reply.text.startswith(piece) for piece in talk.pieces)
    talk.bring("42: a.py")
    reply = await talk.ask()
    assert [(call.tool, call.args) for call in reply.calls] == [
        ("read_file", {"file_path": "a.py"}),
        ("todo_write", {"items": [{"text": "read a.py", "status": "{#number}"}], "n": [42, "a.py"]}),
    ]
    talk.bring("text", "noted")
    assert (await talk.ask()).text == "It was 42 in a.py."
    ids = [call.provider_id for m in talk.messages if isinstance(m, Answered) for call in m.calls]
    assert len(ids) == len(set(ids)) == 3
    talk.say("And now?")
    with pytest.raises(ModelRejectedError, match=r"script has ended: it has 4 steps for 'a'.*\n?.*And now\?"):
        await talk.ask()


async def test_a_step_is_taken_when_its_condition_holds() -> None:
    talk = Talk(SCRIPT)
    talk.say("number 1")
    await talk.ask()
    talk.bring("1: a.py")
    await talk.ask()
    talk.bring("oh no", "noted")
    assert (await talk.ask()).text == "Never mind."


async def test_a_mismatch_shows_both_sides() -> None:
    talk = Talk(SCRIPT)
    talk.say("find nothing")
    with pytest.raises(ModelRejectedError, match=r"Step 1 of 'a'.*'number \(\\\\d\+\)' was expected.*find nothing"):
        await talk.ask()
    talk.messages = [Said("number 7")]
    await talk.ask()
    talk.bring("7: no path here")
    with pytest.raises(ModelRejectedError, match=r"Step 2 of 'a'.*nothing to capture as 'path'.*7: no path here"):
        await talk.ask()
    talk.component = "b"
    with pytest.raises(ModelRejectedError, match="no answers for 'b'; it has some for a"):
        await talk.ask()


async def test_a_search_without_end_ends_and_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searches, "SECONDS", 1)
    talk = Talk("components: {a: [{expect: '(a+)+$', say: here}]}")
    talk.say("a" * 60 + "b")
    asking = asyncio.create_task(talk.ask())
    moments = 0
    async with asyncio.timeout(60):
        while not asking.done():
            await asyncio.sleep(0.01)
            moments += 1
    with pytest.raises(ModelRejectedError, match=r"pattern '\(a\+\)\+\$' can't be searched for"):
        await asking
    assert moments > 3, "others went on meanwhile"


async def test_interrupted_calls_are_made_again_three_times() -> None:
    talk = Talk(SCRIPT)
    talk.say("number 42")
    first = await talk.ask()
    for _ in range(3):
        talk.bring("the executor died", outcome=Outcome.INTERRUPTED)
        again = await talk.ask()
        assert (again.text, again.calls[0].args) == (first.text, first.calls[0].args)
        assert again.calls[0].provider_id != first.calls[0].provider_id
    before = list(talk.messages)
    talk.bring("42: a.py")
    assert (await talk.ask()).calls[0].args == {"file_path": "a.py"}
    talk.messages = before
    talk.bring("the executor died", outcome=Outcome.INTERRUPTED)
    with pytest.raises(ModelRejectedError, match="interrupted 4 times"):
        await talk.ask()


async def test_one_interrupted_call_is_enough_for_another_go() -> None:
    talk = Talk(SCRIPT)
    talk.say("number 42")
    await talk.ask()
    talk.bring("42: a.py")
    first = await talk.ask()
    talk.bring("the executor died", "planned")
    came = talk.messages[-1]
    assert isinstance(came, Results)
    talk.messages[-1] = Results((replace(came.results[0], outcome=Outcome.INTERRUPTED), *came.results[1:]))
    again = await talk.ask()
    assert [(call.tool, call.args) for call in again.calls] == [(call.tool, call.args) for call in first.calls]


async def test_a_step_fails_as_often_as_it_says() -> None:
    talk = Talk(
        "components: {a: [{fail: {kind: unavailable, message: busy, times: 2, retry_after: 7}, say: here},"
        " {fail: {kind: rejected, message: bad key}, say: cured}]}"
    )
    talk.say("go")
    for _ in range(2):
        with pytest.raises(ModelUnavailableError, match="busy") as caught:
            await talk.ask()
        assert caught.value.retry_after == 7
    assert (await talk.ask()).text == "here"
    talk.say("on")
    with pytest.raises(ModelRejectedError, match="bad key"):
        await talk.ask()
    assert (await talk.ask()).text == "cured"


async def test_a_slow_answer_comes_in_pieces_and_can_be_cancelled() -> None:
    talk = Talk("components: {a: [{say: one two three, delay: 3600}]}")
    talk.say("go")
    asking = asyncio.create_task(talk.ask())
    await asyncio.sleep(0.05)
    assert not asking.done()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(asking, 60)
    assert len(talk.messages) == 1
    talk.script = talk.script.replace("3600", "0.2")
    assert (await asyncio.wait_for(talk.ask(), 60)).text == "one two three"


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ("[]", "the file: a script is a mapping with components"),
        ("components: {}", "1:1 components: Dictionary should have at least 1 item"),
        ("components: {a: [{sai: x}]}", "1:19 components.a[0].sai: unknown key. Known here: say."),
        ("components:\n  a:\n    - expect: '('", "3:7 components.a[0].expect: no regular expression:"),
        (f"components: {{a: [{{when: {'(' * 495}x{')' * 495}}}]}}", "components.a[0].when: no regular expression:"),
        ("components: {a: [{when: 'a{99999999999}'}]}", "components.a[0].when: no regular expression:"),
        ("components:\n  a:\n    - capture: {x: y}", "must have one group, the part to keep; it has 0"),
        ("components: {a: [{say: '{x}'}]}", "components.a[0].say: {x} was not captured before. For the braces"),
        ("components: {a: [{capture: {path: '(.)'}, say: '{paht}'}]}", "{paht} was not captured before. Known here"),
        ("components: {a: [{call: {tool: x, args: [1]}}]}", "components.a[0].call[0].args: Input should be"),
        ("components: {a: [{delay: -1}]}", "components.a[0].delay: Input should be greater than or equal to 0."),
        ("components: {a: [{fail: {kind: maybe}}]}", "components.a[0].fail.kind: Input should be 'unavailable'"),
        ("components: &x {a: *x}", "anchors and aliases are not read"),
        ("components: [", "not YAML"),
    ],
)  # fmt: skip
def test_a_faulty_script_is_refused_with_the_place(script: str, fault: str) -> None:
    with pytest.raises(InvalidInputError, match=r"The script can't be used") as caught:
        ScriptedModel("scripted:test", script)
    assert fault in caught.value.message


def checkout(folder: Path) -> Path:
    for name, data in sample.files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def shell(folder: Path, command: str) -> tuple[int, str]:
    command = command.replace("python3", sys.executable)
    ended = subprocess.run(  # as the sandbox runs it
        ["sh", "-c", command], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60
    )
    return ended.returncode, ended.stdout


def use(folder: Path, tool: str, args: dict[str, JsonValue]) -> str:
    """A call as the executor's body of the tool answers it, small but on the real files."""
    CATALOGUE[tool].parse(args)
    texts = {name: str(value) for name, value in args.items()}
    match tool:
        case "read_file":
            return (folder / texts["file_path"]).read_text()
        case "grep":
            expression = re.compile(texts["pattern"])
            return "\n".join(
                f"{path.relative_to(folder)}:{number}:{line}"
                for path in sorted(folder.rglob("*.py"))
                for number, line in enumerate(path.read_text().splitlines(), 1)
                if expression.search(line)
            )
        case "edit_file":
            path = folder / texts["file_path"]
            text = path.read_text()
            assert text.count(texts["old_str"]) == 1
            path.write_text(text.replace(texts["old_str"], texts["new_str"]))
            return f"Changed {path.name}."
        case "run_command":
            code, output = shell(folder, texts["command"])
            return f"Exit code {code}.\n{output}"
        case _:
            return "Noted."


@pytest.mark.parametrize(
    ("function", "size"), [("page_count", "per_page"), ("sheets", "room")], ids=["as it ships", "with other names"]
)
async def test_the_script_that_ships_repairs_the_sample(tmp_path: Path, function: str, size: str) -> None:
    folder = checkout(tmp_path)
    for path in folder.rglob("*.py"):
        path.write_text(path.read_text().replace("page_count", function).replace("per_page", size))
    code, log = shell(folder, "python3 -m unittest discover -s tests -v")
    assert code == 1
    assert "FAILED (failures=1)" in log
    library = Library(CATALOGUE)
    text, script = library.shipped("fix_pipeline/v1")
    assert script is not None
    given = dict.fromkeys(("verification", "rules", "skills"))
    prompt = {"goal": "Repair it.", "failing_jobs": f"unit (test): exit code 1\n{log}", **given}
    talk = Talk(re.sub(r"delay: [\d.]+", "delay: 0", script), component="repair")
    talk.say(library.render(library.read(text), "repair", dict(prompt))[1])
    while (reply := await talk.ask()).calls[0].tool != FINAL_RESPONSE:
        talk.bring(*(use(folder, call.tool, call.args) for call in reply.calls))
    final = reply.calls[0].args
    assert final["outcome"] == "changed"
    assert re.match(rf"Round up in {function} so that no remainder is lost\n\n.*9 tests", str(final["message"]))
    assert shell(folder, "python3 -m unittest discover -s tests")[0] == 0
    assert (folder / "tests" / "test_pages.py").read_text().count(function) == 5
    assert f"return -(-items // {size})" in (folder / "shelf" / "pages.py").read_text()


def test_only_the_test_job_of_the_sample_fails(tmp_path: Path) -> None:
    folder = checkout(tmp_path)
    ci = (folder / ".gitlab-ci.yml").read_text()
    jobs = {
        found[1]: re.findall(r"^    - (.*)$", found[2].partition("artifacts:")[0], re.MULTILINE)
        for found in re.finditer(r"^(\w+):\n((?:  .*\n)+)", ci, re.MULTILINE)
        if found[1] != "stages"
    }
    ended = {name: shell(folder, " && ".join(lines))[0] for name, lines in jobs.items()}
    assert ended == {"compile": 0, "unit": 1, "archive": 0}


def test_the_page_about_scripts_has_one_that_works() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "scripted-model.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert list(read_script(example).components) == ["repair"]
    assert all(f"| `{key}` |" in page for key in Step.model_fields)

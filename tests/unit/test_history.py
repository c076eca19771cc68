from quarterdeck.core import events as e
from quarterdeck.core.history import (
    INTERRUPTED,
    Answered,
    Conversation,
    Message,
    Result,
    Results,
    Said,
    bounded,
    conversation,
    first_kept,
    transcript,
)
from tests.unit.world import CREATED, event, finished


def call(call_id: str) -> e.AnswerCall:
    return e.AnswerCall(call_id=call_id, provider_id=f"p_{call_id}", tool="t", args={"id": call_id})


def answer(text: str, *call_ids: str, seen: int | None = None, component: str = "a") -> e.ModelAnswered:
    calls = tuple(call(call_id) for call_id in call_ids)
    return e.ModelAnswered(component=component, text=text, thinking="hm", calls=calls, model="m", opaque="o", seen=seen)


def answered(text: str, *call_ids: str) -> Answered:
    return Answered(text, "hm", tuple(call(call_id) for call_id in call_ids), "o", "m")


def result(call_id: str, outcome: e.Outcome, text: str = "") -> Result:
    return Result(call_id, f"p_{call_id}", "t", {"id": call_id}, outcome, text or f"it was {outcome}")


def said(text: str, component: str = "a") -> e.MessageAdded:
    return e.MessageAdded(text=text, by="ada", component=component)


def talk(*payloads: e.AnyPayload, component: str = "a") -> Conversation:
    """The first of `payloads` has number 2."""
    return conversation(component, (event(seq, payload) for seq, payload in enumerate([CREATED, *payloads], 1)))


def messages(*payloads: e.AnyPayload) -> list[Message]:
    return talk(*payloads).messages


def test_a_conversation_is_of_one_component() -> None:
    log: tuple[e.AnyPayload, ...] = (
        said("to whoever it is", component=""),
        e.ComponentEntered(component="a", system="be a", user="mend"),
        answer("done"),
        e.ComponentEntered(component="b", system="be b", user="look"),
        answer("seen", component="b"),
        said("again"),
        e.ComponentEntered(component="a"),
        answer("again done"),
    )
    assert talk(*log) == Conversation(
        "be a",
        [Said("to whoever it is"), Said("mend"), answered("done"), Said("again"), answered("again done")],
    )
    assert talk(*log, component="b").messages == [Said("to whoever it is"), Said("look"), answered("seen")]
    assert talk(*log, component="b").system == "be b"


def test_results_stand_in_the_order_of_the_calls_and_the_first_report_counts() -> None:
    assert messages(
        answer("", "c1", "c2"),
        finished("c2", e.Outcome.ERROR),
        finished("c2", e.Outcome.OK),
        finished("c_of_another", e.Outcome.OK),
        finished("c1", e.Outcome.OK),
        answer("so"),
    ) == [
        answered("", "c1", "c2"),
        Results((result("c1", e.Outcome.OK), result("c2", e.Outcome.ERROR))),
        answered("so"),
    ]


def test_a_message_between_calls_and_results_stands_behind_them() -> None:
    assert messages(
        answer("", "c1"), said("one"), finished("c1", e.Outcome.OK), said("two"), answer("", "c2"), said("three")
    )[:4] == [answered("", "c1"), Results((result("c1", e.Outcome.OK),)), Said("one"), Said("two")]


def test_a_message_that_the_model_had_not_seen_stands_behind_its_answer() -> None:
    log = (
        said("one"),
        said("two"),
        answer("to one", "c1", seen=2),
        finished("c1", e.Outcome.OK),
        answer("to two", seen=5),
    )
    assert messages(*log[:4]) == [
        Said("one"),
        answered("to one", "c1"),
        Results((result("c1", e.Outcome.OK),)),
        Said("two"),
    ]
    assert messages(*log)[-2:] == [Said("two"), answered("to two")]


def test_calls_that_were_never_carried_out_have_a_result_all_the_same() -> None:
    cancelled = Results((result("c1", e.Outcome.OK), result("c2", e.Outcome.CANCELLED, "This call was cancelled.")))
    log = (answer("", "c1", "c2"), finished("c1", e.Outcome.OK), said("go on"))
    assert messages(*log) == [answered("", "c1", "c2"), cancelled, Said("go on")]
    assert messages(*log, answer("well"))[-1] == answered("well")


def test_a_subagents_conversation_is_its_own() -> None:
    log: tuple[e.AnyPayload, ...] = (
        e.ComponentEntered(component="a", system="lead", user="mend"),
        answer("", "d"),
        e.DelegationStarted(call_id="d", component="a:b:1", system="help", user="look"),
        answer("seen", component="a:b:1"),
        e.DelegationEnded(call_id="d", component="a:b:1"),
        finished("d", e.Outcome.OK),
        e.NoticeAdded(component="a", about="iterations", text="2 left"),
        answer("done"),
    )
    assert talk(*log, component="a:b:1") == Conversation("help", [Said("look"), answered("seen")])
    assert talk(*log).messages == [
        Said("mend"), answered("", "d"), Results((result("d", e.Outcome.OK),)), Said("2 left"), answered("done"),
    ]  # fmt: skip


def test_what_there_was_of_an_interrupted_answer_stays() -> None:
    half = e.ModelInterrupted(component="a", text="half an ans", by="ada")
    assert messages(said("go"), half, said("shorter")) == [
        Said("go"), Answered(f"half an ans\n\n{INTERRUPTED}", "", (), "", ""), Said("shorter"),
    ]  # fmt: skip
    assert messages(said("go"), half.model_copy(update={"text": ""})) == [
        Said("go"), Answered(INTERRUPTED, "", (), "", ""),
    ]  # fmt: skip


LONG: tuple[e.AnyPayload, ...] = (
    e.ComponentEntered(component="a", system="be a", user="my name is Ada"),  # 2
    answer("hello", seen=2),  # 3
    said("look"),  # 4
    answer("", "c1", seen=4),  # 5
    finished("c1", e.Outcome.OK),  # 6
    said("while it thinks"),  # 7
    answer("found", seen=6),  # 8
)


def short(through: int, answers: int) -> e.ContextCompacted:
    return e.ContextCompacted(
        component="a", text="she is Ada", through=through, answers=answers, system="be a", size=10
    )


def test_a_compacted_conversation_goes_on_from_its_short_form() -> None:
    whole = talk(*LONG)
    assert whole.seen == [2, 4, 6]
    compacted = talk(*LONG, short(4, 1), said("and now?"))
    assert compacted.messages == [
        Said("she is Ada"), *whole.messages[3:], Said("and now?"),
    ]  # fmt: skip
    assert (compacted.system, compacted.compacted, compacted.seen) == ("be a", 1, [4, 6])
    again = talk(*LONG, short(4, 1), short(6, 2))
    assert again.messages == [Said("she is Ada"), answered("found"), Said("while it thinks")]
    assert again.compacted == 2


def test_nothing_before_the_cut_need_be_read_again() -> None:
    log = [event(seq, payload) for seq, payload in enumerate([CREATED, *LONG, short(4, 1), said("and now?")], 1)]
    assert conversation("a", log[4:]) == conversation("a", log)


def test_the_last_messages_stay_as_they_are() -> None:
    whole = talk(*LONG)
    assert first_kept(whole, messages=99, characters=9_999) == 1
    assert first_kept(whole, messages=2, characters=9_999) == 2
    assert first_kept(whole, messages=99, characters=3) == 2


def test_a_transcript_for_another_agent() -> None:
    assert transcript(talk(*LONG[:6])) == (
        "person: my name is Ada\n\nagent: hello\n\nperson: look\n\nagent uses t: {'id': 'c1'}\n\n"
        "t (ok): it was ok\n\nperson: while it thinks"
    )


def test_results_of_one_answer_are_cut_to_fit_together_and_the_short_ones_stay() -> None:
    long = [result(f"c{n}", e.Outcome.OK, letter * 1_000) for n, letter in enumerate("ab")]
    short = result("c", e.Outcome.OK, "c" * 100)
    few = Results((result("d", e.Outcome.OK, "d" * 700),))
    talked = Conversation(
        "s", [Said("x" * 2_000), answered("y" * 2_000), Results((long[0], short, long[1])), few], 3, [7]
    )
    made = bounded(talked, 700)
    assert (made.messages[:2], made.messages[3], made.compacted, made.seen) == (talked.messages[:2], few, 3, [7])
    cut_ones = made.messages[2]
    assert isinstance(cut_ones, Results)
    assert [one.text[:100] for one in cut_ones.results] == ["a" * 100, "c" * 100, "b" * 100]
    assert all("700 characters left out" in one.text and len(one.text) < 400 for one in cut_ones.results[::2])
    assert bounded(talked, 2_100) == talked
    assert bounded(Conversation("s", [Results(())]), 1) == Conversation("s", [Results(())])

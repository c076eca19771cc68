"""A recorded session's answers, given again in their order instead of a language model's."""

import time

from pydantic import ValidationError

from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.recording import Recording
from quarterdeck.core.usage import Usage
from quarterdeck.engine.models.model import ModelRejectedError, OnText, Reply, Request, RequestedCall


class ReplayModel:
    """Implements `Model` from a recording; `name` is `replay:<session>`.

    It gives what was answered then, whatever it is asked now, and drives real tools with it.
    """

    def __init__(self, name: str, text: str) -> None:
        """Raises InvalidInputError when `text` is no recording."""
        self._name = name
        try:
            self._recording = Recording.model_validate_json(text)
        except ValidationError:
            raise InvalidInputError(f"{name} has no recording that this version can read.") from None

    async def answer(self, request: Request, on_text: OnText) -> Reply:
        """The component's next answer.

        Raises:
            ModelRejectedError: the recording has none, or none any more.
        """
        began = time.monotonic()
        if request.compacting:  # the answers that come are recorded, so nothing has to be remembered for them
            return self._reply("What was said before is in the log of this session.", "", (), began)
        of = f"The recording of session #{self._recording.session}"
        answers = self._recording.components.get(request.component)
        if answers is None:
            known = ", ".join(self._recording.components)
            raise ModelRejectedError(f"{of} has no answers of {request.component!r}; it has some of {known}.")
        if request.answered >= len(answers):
            raise ModelRejectedError(
                f"{of} has ended: it has {len(answers)} answers of {request.component!r}, and all are given. "
                "What tools say now differs from what they said then, or the session was told more."
            )
        given = answers[request.answered]
        if given.text:
            await on_text(given.text)
        calls = tuple(
            RequestedCall(f"{request.component}-{request.answered + 1}-{index}", call.tool, dict(call.args))
            for index, call in enumerate(given.calls, 1)
        )
        return self._reply(given.text, given.thinking, calls, began)

    def _reply(self, text: str, thinking: str, calls: tuple[RequestedCall, ...], began: float) -> Reply:
        return Reply(
            text=text,
            thinking=thinking,
            calls=calls,
            opaque="",
            model=self._name,
            usage=Usage(requests=1),
            duration_ms=round((time.monotonic() - began) * 1_000),
        )

"""What a model is told of a command."""

from quarterdeck.core.limits import RESULT_CHARACTERS
from quarterdeck.core.text import cut
from quarterdeck.executor.hands import Done
from quarterdeck.executor.processes import Ended

_HEADING_CHARACTERS = 512
_HOW_TO_SEE_MORE = "characters left out; to see more, write the output to a file and read that in parts"


def told(heading: str, ended: Ended) -> Done:
    """The heading, or the limit that ended it, and under it the output: of a long one head and tail."""
    room = RESULT_CHARACTERS - _HEADING_CHARACTERS
    heading = ended.limit or heading
    text = cut(ended.text, room, note=_HOW_TO_SEE_MORE)
    return Done(
        ended.outcome,
        f"{heading}\n{text}" if text.strip() else f"{heading} It printed nothing.",
        exit_code=ended.exit_code,
        truncated=ended.truncated or len(ended.text) > room,
        limit=ended.reached,
    )

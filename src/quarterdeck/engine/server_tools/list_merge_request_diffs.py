"""Read what a merge request changes."""

from quarterdeck.app import reviews
from quarterdeck.core.diff import FileDiff
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.text import cut
from quarterdeck.engine.desk import Case, Done
from quarterdeck.tools.list_merge_request_diffs import Args

TEXT_CHARACTERS = 24_000
FILES = 200


async def run(case: Case, args: Args) -> Done:
    """The list of files, then as many of their diffs as there is room for, none of them in part."""
    files = await reviews.files(case.app, case.actor, case.project_id, args.merge_request_iid)
    wanted = [one for one in files if not args.file_path or args.file_path in (one.path, one.old_path)]
    if not wanted and args.file_path:
        raise InvalidInputError(f"!{args.merge_request_iid} doesn't change {args.file_path}.")
    if len(wanted) == 1:
        return Done(cut(_numbered(wanted[0]), TEXT_CHARACTERS))
    lines = [f"!{args.merge_request_iid} changes {len(wanted)} files:"]
    lines += [f"- {one.path} +{one.added} -{one.removed}" for one in wanted[:FILES]]
    lines += [f"- and {len(wanted) - FILES} more"] * (len(wanted) > FILES)
    left, missing = TEXT_CHARACTERS, 0
    for one in wanted:
        text = _numbered(one) if len(one.text) <= left else ""
        if text and len(text) <= left:
            lines += ["", text]
            left -= len(text)
        else:
            missing += 1
    if missing:
        lines += ["", f"{missing} diffs were left out for their size; ask for each by file_path."]
    return Done("\n".join(lines))


def _numbered(file: FileDiff) -> str:
    moved = f" (was {file.old_path})" if file.old_path != file.path else ""
    rows = [f"{file.path}{moved}: old line, new line, text"]
    before = None
    for line in file.lines:
        mark = "+" if line.old is None else "-" if line.new is None else " "
        if before is not None and line.new is not None and line.new > before + 1:
            rows.append("…")
        before = line.new if line.new is not None else before
        rows.append(f"{line.old or '':>5} {line.new or '':>5} {mark}{line.text}")
    if not file.lines:
        rows.append("(no lines: renamed, empty, binary, or another mode)")
    return "\n".join(rows)

"""What the server and an executor say to each other (DESIGN section 5). HTTP + SSE, outbound from the executor.

Every report carries the lease's epoch and may be repeated: the second time comes to the same. A report with a late
epoch is refused (`fenced`), and its sender must kill and forget what it holds of that subject. A *subject* is what a
lease is on: `session:12` or `job:7`.

The executor's side of the API, all under `/api/v1/executor`, token of the runner as bearer:

    POST /register                       Register -> Registered; the bearer is a registration token, which it uses up
    POST /hello                          Hello -> Welcome (426 version_mismatch when the two don't fit)
    GET  /stream?runner=ID               SSE: offer (Offer), cancel (Cancel), wipe (Wipe), drained (Drained); a comment
                                         every 15 s
    POST /heartbeat                      Heartbeat -> HeartbeatAnswer, every 10 s and at once when the stream opens
    POST /calls/{call_id}/started        Started
    POST /calls/{call_id}/output?epoch=E&offset=N    raw bytes -> OutputAnswer; 409 conflict on a gap, with `expected`
    POST /calls/{call_id}/result         Result
    POST /calls/{call_id}/push?epoch=E&branch=B&commit=SHA   git bundle -> PushAnswer (the server checks and pushes)
    POST /subjects/{subject}/prepared    Prepared
    POST /subjects/{subject}/teardown    Teardown
    POST /subjects/{subject}/blobs?epoch=E    raw bytes -> BlobAnswer
    GET  /subjects/{subject}/blobs/{id}  raw bytes

Repositories are fetched by git smart HTTP at `WorkspaceSpec.clone_path` of the same server, user `session` and
`WorkspaceSpec.token` as password.
"""

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue

from quarterdeck.core.events import FileChange, Outcome
from quarterdeck.core.mcp import McpTool
from quarterdeck.core.network import NetworkPolicy
from quarterdeck.core.session_limits import LimitName, ProjectLimits, Reached, Used

PROTOCOL_VERSION = 1
VERSIONS_APART = 1
"""So far the versions of the two ends may differ: what a version adds, the one before leaves alone."""
KEEPALIVE_SECONDS = 15
DROP_SECONDS = 45
HEARTBEAT_SECONDS = 10

NAME_CHARACTERS = 100
TAGS = 50

Isolation = Literal["full", "reduced", "none"]
Tag = Annotated[str, Field(min_length=1, max_length=100)]
"""What a runner has and jobs may ask for."""


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


def _known_limits(said: dict[str, JsonValue] | ProjectLimits | None) -> object:
    """Without those of a later version, for `ProjectLimits` is as strict as what people write needs."""
    return {name: said[name] for name in get_args(LimitName) if name in said} if isinstance(said, dict) else said


def _known_limit(said: dict[str, JsonValue] | Reached | None) -> object:
    return None if isinstance(said, dict) and said.get("name") not in get_args(LimitName) else said


def fits(protocol: int) -> bool:
    """Whether the other end's version and ours understand each other."""
    return abs(protocol - PROTOCOL_VERSION) <= VERSIONS_APART


class Register(_Wire):
    """A runner asks for a token of its own."""

    protocol: int
    version: str
    name: Annotated[str, Field(min_length=1, max_length=NAME_CHARACTERS)]
    instance: Annotated[str, Field(min_length=1, max_length=64)]
    """As `Hello` says it: the same home may register again under its name, which ends its token of before."""
    tags: Annotated[tuple[Tag, ...], Field(max_length=TAGS)] | None = None
    """None: those that the registration allows."""


class Registered(_Wire):
    """The server's answer: the token, which is told once, and what the runner is from now on."""

    runner: int
    token: str
    name: str
    tags: tuple[str, ...] = ()
    project: str = ""
    """The only project that it works for; empty when it works for all."""


class Hello(_Wire):
    """An executor introduces itself, and says what it still holds.

    Of a registered runner the server knows name and tags, and takes them from here no more.
    """

    protocol: int
    version: str
    name: str
    instance: str = ""
    """A random id that its home keeps: two executors of one name are told apart by it."""
    kind: Literal["runner", "ide", "client"] = "runner"
    capacity: int
    tags: tuple[str, ...] = ()
    isolation: Isolation
    capabilities: dict[str, JsonValue] = {}
    subjects: tuple[str, ...] = ()
    """All subjects that it has a workspace of."""


class Welcome(_Wire):
    """The server's answer: who you are, and which subjects are gone and must be wiped."""

    runner: int
    protocol: int
    wipe: tuple[str, ...] = ()


class CacheSpec(_Wire):
    """Files of the workspace that a runner keeps between sessions of one project."""

    scope: str
    """Stands for the project, also against those of other servers and databases: 32 hexadecimal digits."""
    key: str
    files: tuple[str, ...] = ()
    """What is in them as the workspace is made is a part of the key."""
    paths: tuple[str, ...]
    save: bool = False
    """Whether this workspace stands at the default branch, so that what the setup script makes in it may be kept."""


class WorkspaceSpec(_Wire):
    """How to make the workspace, the first time or on another executor."""

    clone_path: str
    token: str
    ref: str
    commit: str
    """The full commit that the workspace is based on."""
    branch: str
    """Where `create_commit` pushes to."""
    branch_commit: str = ""
    """What stood on the branch before the session's own first push; the commits up to it are no stranger's."""
    bundle_blob: int | None = None
    """The last snapshot, if there is one, and its commit."""
    snapshot_commit: str = ""
    step: int = 0
    start_commit: str = ""
    """The snapshot of what an editor's folder held before the first call; its whole diff begins there."""
    author: str
    author_email: str
    committer: str
    committer_email: str
    setup_script: tuple[str, ...] = ()
    """Lines of shell that are run once in a fresh workspace, before its first call."""
    network: NetworkPolicy | None = None
    """What commands may reach; None is nothing."""
    cache: CacheSpec | None = None


class JobSpec(_Wire):
    """A pipeline job as an executor runs it."""

    name: str
    before_script: tuple[str, ...] = ()
    script: tuple[str, ...]
    after_script: tuple[str, ...] = ()
    variables: dict[str, str] = {}
    timeout_seconds: int = 3600
    artifact_paths: tuple[str, ...] = ()
    artifacts_when: Literal["on_success", "on_failure", "always"] = "on_success"
    needs_artifacts: tuple[int, ...] = ()
    """Blobs (tar.gz) of earlier jobs, unpacked in this order."""


class McpSpec(_Wire):
    """The MCP server that a call is for: started in the sandbox for this call alone."""

    server: str
    command: tuple[str, ...]
    env: dict[str, str] = {}
    tool: str = ""
    """Its own name of the tool; empty when it is asked which it has."""


class Offer(_Wire):
    """Work for the executor: a tool call of a session, or a pipeline job."""

    call_id: str
    subject: str
    turn_no: int = 0
    lease_epoch: int
    tool: str
    """A tool of the catalogue, or `pipeline_job`."""
    args: dict[str, JsonValue] = {}
    workspace: WorkspaceSpec
    job: JobSpec | None = None
    mcp: McpSpec | None = None
    limits: Annotated[ProjectLimits | None, BeforeValidator(_known_limits)] = None
    """What the project asks for; of this and the executor's own the stricter holds."""
    used: Used = Used()
    """What the session's commands have taken, on all executors."""


class Cancel(_Wire):
    """Kill the whole process tree of the subject at once, and report the teardown; or that of one call of it.

    A call's end is its result, `cancelled`; workspace, lease and all other calls stay. An executor that is older than
    `call_id` kills more, and goes on with the next offer.
    """

    subject: str
    lease_epoch: int
    reason: str = ""
    call_id: str = ""


class Wipe(_Wire):
    """Delete everything that is kept of the subject."""

    subject: str


class Drained(_Wire):
    """The runner was to be drained, and has nothing left: it ends, and its service need not start it again."""


class Held(_Wire):
    """A lease that the executor believes to have."""

    subject: str
    lease_epoch: int


class Heartbeat(_Wire):
    """The executor is alive and holds these."""

    runner: int
    held: tuple[Held, ...] = ()


class HeartbeatAnswer(_Wire):
    """Leases that were renewed are not named; those in `lost` belong to another or to nobody: kill and forget."""

    lost: tuple[str, ...] = ()


class Started(_Wire):
    """The call began, and its start is in the executor's journal already; or the setup script began before it.

    What that prints is the beginning of the call's output.
    """

    turn_no: int
    lease_epoch: int


class SetupReport(_Wire):
    """How the setup script ended, told with the result of the call that it was run before."""

    outcome: Outcome
    text: str
    exit_code: int | None = None
    duration_ms: int = 0


class Refusal(_Wire):
    """A host that a command of the call asked for and was refused."""

    host: str
    port: int
    reason: str
    count: int


class SnapshotReport(_Wire):
    """The workspace after a call that changed it; the blobs were uploaded before."""

    step: int
    commit: str
    files: tuple[FileChange, ...]
    bundle_blob: int
    step_diff_blob: int
    whole_diff_blob: int


class Result(_Wire):
    """How a call ended; `text` is what the model is told."""

    turn_no: int
    lease_epoch: int
    begun: bool = False
    """Whether it began, by the executor's journal; a call that is over at once is told of so, and not by `Started`."""
    outcome: Outcome
    text: str
    exit_code: int | None = None
    duration_ms: int = 0
    output_bytes: int = 0
    output_sha256: str = ""
    truncated: bool = False
    snapshot: SnapshotReport | None = None
    artifacts_blob: int | None = None
    """Of a pipeline job: a tar.gz of its artifacts."""
    mcp_tools: tuple[McpTool, ...] = ()
    """What an MCP server answered that was asked which it has."""
    mcp_left_out: int = 0
    setup: SetupReport | None = None
    refused: tuple[Refusal, ...] = ()
    used: Used | None = None
    """What commands of the session took since a result told of that last; None from an executor that doesn't say."""
    limit: Annotated[Reached | None, BeforeValidator(_known_limit)] = None
    """The limit that ended the call; None also for one that only a later version knows, which the text tells of."""


class Prepared(_Wire):
    """The workspace is there."""

    lease_epoch: int
    base_commit: str
    isolation: Isolation
    duration_ms: int = 0
    notes: tuple[str, ...] = ()
    """What of the `agent-config.yml` the executor can't give."""
    start: SnapshotReport | None = None
    """Of an editor's folder: what it held before the first call, as a commit on top of `base_commit`."""


class Teardown(_Wire):
    """All processes of the subject were killed: the proof of a stop."""

    lease_epoch: int
    killed: int
    left: int
    duration_ms: float
    method: str


class OutputAnswer(_Wire):
    """How many bytes of the output the server has."""

    next_offset: int


class BlobAnswer(_Wire):
    """The id under which the bytes are kept."""

    blob: int


class PushAnswer(_Wire):
    """What stands on the branch now."""

    branch: str
    commit: str

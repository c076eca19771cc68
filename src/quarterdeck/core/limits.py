"""The numbers that bound what comes in; GitLab's where it has one, so that what fits there fits here."""

GOAL_CHARACTERS = 16_384
TITLE_CHARACTERS = 40
MESSAGE_CHARACTERS = 16_384
REASON_CHARACTERS = 2_000
REF_CHARACTERS = 255
FLOW_BYTES = 40 * 1024
SCRIPT_BYTES = 256 * 1024
RECORDING_BYTES = 32 * 1024 * 1024
"""What a replayed session's answers may come to."""
RESULT_CHARACTERS = 32_768
"""What a model is told of one tool result; the whole output is kept beside the log."""
REFUSALS = 20
"""Hosts that one call was refused and that are told of one by one."""
RESULTS_SHARE = 4
"""All results of one answer have this part of what the model reads at once: no compaction takes the last away."""
OUTPUT_BYTES = 16 * 1024 * 1024
"""What is kept of one call's output; beyond it the middle is dropped by the executor, and the result says so."""
OUTPUT_CHUNK_BYTES = 256 * 1024
JOB_LOG_TAIL_BYTES = 150 * 1024
BUNDLE_BYTES = 256 * 1024 * 1024
CACHE_BYTES = 512 * 1024 * 1024
"""What a runner keeps of a setup script under one key, packed."""
CACHES_BYTES = 4 * 1024 * 1024 * 1024
"""And of all projects together."""
CACHE_PATHS = 50
IMPORT_BYTES = 512 * 1024 * 1024
"""The largest file of a session that is imported."""
IMPORT_STATE_CHARACTERS = 4 * 1024 * 1024
"""What the folded state of an imported log may come to; a session of ours stays far below."""
SOURCE_EVENTS, SOURCE_BYTES = 1_000, 1024 * 1024
"""What the source of an external session sends at once."""
SOURCE_TEXT_CHARACTERS = 262_144
"""Of one text of its events."""
SOURCE_STATE_CHARACTERS = 1024 * 1024
"""What the folded state of an external session may come to."""
ATTACHMENT_BYTES = 20 * 1024 * 1024
IMAGE_BYTES = 5 * 1024 * 1024
"""Of an image; more is taken by few providers."""
ATTACHMENTS = 10
"""Files that come with one start or message."""
ATTACHMENTS_WAITING, ATTACHMENTS_WAITING_BYTES = 100, 200 * 1024 * 1024
"""A person's files that no session was given yet."""
ATTACHED_CHARACTERS = 65_536
"""What a conversation has of one attached text; the middle of a longer one is left out."""
ATTACHED_SHARE = 2
"""All files of one message may have this part of what the model reads at once."""
IMAGE_CHARACTERS = 6_000
"""What an image counts in a conversation: about 1,500 tokens."""
CONTEXTS = 50
INPUT_LEVELS = 64
"""How far lists and objects of an input may lie in one another."""
CONTEXT_CHARACTERS = 262_144
"""Of one `additional_context`."""
CALLS_PER_ANSWER = 64
PATTERNS = 100
"""Of one tool, that a person may pre-approve."""
PATTERN_CHARACTERS = 256
PATTERN_COMMAND_CHARACTERS = 4_096
"""A longer command matches no pattern."""
AGENT_PROMPT_BYTES = 80 * 1024
PINNED_FLOW_BYTES = 1024 * 1024
"""What is read of a flow that the server made of an agent; a person's own has FLOW_BYTES."""
AGENTS = 200
"""Of one project or person."""
ARGUMENT_LEVELS = 64
"""How deep the arguments of a call may nest; readers of JSON give up not far beyond 128."""
ARGUMENT_CHARACTERS = 512 * 1024
"""Of one call, as JSON: a large file can be written at once."""
ANSWER_ARGUMENT_CHARACTERS = 1024 * 1024
"""Of all calls of an answer together; they stand in the state until the next."""
TOOL_NAME_CHARACTERS = 256
CYCLES = 280
"""Answers that an agent may give to one prompt or message, unless its flow says otherwise."""
WRAP_UP_RETRIES = 3
CORRECTION_ATTEMPTS = 3
FORK_EVENTS = 100_000
"""How many events of a session a fork may begin with."""
FORK_BYTES = 1024 * 1024 * 1024
"""What is copied for a fork at most: the output of its calls, its snapshots and diffs."""
CONTEXT_TOKENS = 128_000
"""What a model is taken to read at once unless more is known of it."""
CHARACTERS_PER_TOKEN = 4
"""A rule of thumb for texts whose tokens no provider has counted."""
NODE_TRANSITIONS = 600
MCP_FAULT_CHARACTERS = 500
PAGE_ROWS = 20
RETENTION_DAYS = 30
RETENTION_DAYS_MOST = 3650
EXPIRES_SOON_DAYS = 3
"""From how many days before its deletion on a session's views warn of it."""
STATE_CONTEXT_CHARACTERS = 65_536
"""What the folded state keeps of one component's output."""
STATE_LINKS = 100
"""The newest links that the folded state keeps."""
INTERRUPTED_REPEATS = 3
"""How often a deterministic step offers its tool again after an executor died under it."""
MODEL_PATIENCE_SECONDS = 20 * 60
"""How long a provider may be down before the session is paused (promise 9)."""

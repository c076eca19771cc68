"""What an editor asks of Quarterdeck, for one connection of one person.

A session has the id under which the editor began it: `acp-` and a random number, by which its start is made once; any
other has its number. One in which nothing has been said yet is nowhere but here, and begins anew elsewhere.
"""

import re
import secrets
from collections.abc import Callable, Coroutine
from datetime import datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from acp.exceptions import RequestError
from acp.schema import (
    AgentCapabilities,
    AuthenticateResponse,
    ClientCapabilities,
    CloseSessionRequest,
    DeleteSessionRequest,
    ForkSessionRequest,
    ForkSessionResponse,
    Implementation,
    InitializeResponse,
    ListSessionsResponse,
    LoadSessionResponse,
    NewSessionResponse,
    PromptCapabilities,
    PromptResponse,
    ResumeSessionRequest,
    ResumeSessionResponse,
    SessionCapabilities,
    SessionConfigOptionSelect,
    SessionConfigSelectOption,
    SessionInfo,
    SessionMode,
    SessionModeState,
    SetSessionConfigOptionResponse,
)
from pydantic import BaseModel, ValidationError

import quarterdeck
from quarterdeck.app import (
    chat_choices,
    chats,
    deletion,
    editor_sessions,
    editors,
    forks,
    interruption,
    model_rules,
    steering,
)
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.chats import StartChat
from quarterdeck.app.editor_sessions import EditorSession
from quarterdeck.app.forks import ForkSession
from quarterdeck.core.errors import ConflictError, NotFoundError, QuarterdeckError, UnauthenticatedError
from quarterdeck.core.status import Status
from quarterdeck.doors.acp.hands import Hands
from quarterdeck.doors.acp.open_session import OpenSession
from quarterdeck.doors.acp.prompt import text_of

PROTOCOL = 1
PAGE = 50
KEY = "acp:"
_BEGUN = re.compile(r"acp-[0-9a-f]{32}")
_MODES = [
    SessionMode(
        id="build", name="Build", description="Changes files and runs commands; you are asked as the rules say."
    ),
    SessionMode(id="plan", name="Plan", description="Reads and plans; whatever would change something is refused."),
]
_DIGITS = 19
NO_PROJECT = (
    "*You have several projects or none, so this session has no files. Begin one of a project with "
    "`qd acp --project PATH`.*\n\n"
)
_ENDS = {Status.FAILED: "refusal", Status.STOPPED: "cancelled"}


class Wish(BaseModel):
    """What `_meta.quarterdeck` of a new session may say."""

    project: str | None = None
    model: str | None = None
    script: str | None = None


class Draft(Wish):
    """A session in which nothing has been said yet."""

    folder: str
    planning: bool = False


P = ParamSpec("P")
R = TypeVar("R")


def told(method: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    """The same method; what is wrong comes to the editor as the protocol's own errors."""

    @wraps(method)
    async def telling(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await method(*args, **kwargs)
        except NotFoundError as error:
            raise RequestError(-32002, error.message) from None
        except UnauthenticatedError as error:
            raise RequestError(-32000, error.message) from None
        except (QuarterdeckError, ValidationError) as error:
            raise RequestError(-32602, error.message if isinstance(error, QuarterdeckError) else str(error)) from None

    return telling


class Agent:
    """The package calls these methods by the names that it has for them."""

    def __init__(self, app: App, actor: Actor, client: Any) -> None:
        self._app, self.actor, self._client = app, actor, client
        self._name = "editor"
        self._carries_out = False
        self._drafts: dict[str, Draft] = {}
        self._open: dict[str, OpenSession] = {}
        self._hands: dict[str, Hands] = {}
        self._cancelled: set[str] = set()

    async def initialize(
        self,
        protocol_version: int,
        client_capabilities: ClientCapabilities | None = None,
        client_info: Implementation | None = None,
        **_: Any,
    ) -> InitializeResponse:
        """What both sides can."""
        del protocol_version
        if client_info is not None:
            self._name = (client_info.title or client_info.name)[: editors.NAME_CHARACTERS] or self._name
        can = client_capabilities
        self._carries_out = bool(can and can.fs and can.fs.read_text_file and can.fs.write_text_file and can.terminal)
        return InitializeResponse(
            protocol_version=PROTOCOL,
            agent_capabilities=AgentCapabilities(
                load_session=True,
                prompt_capabilities=PromptCapabilities(embedded_context=True),
                session_capabilities=SessionCapabilities.model_validate(
                    {"list": {}, "delete": {}, "resume": {}, "close": {}, "fork": {}}
                ),
            ),
            agent_info=Implementation(name="quarterdeck", title="Quarterdeck", version=quarterdeck.__version__),
            auth_methods=[],
        )

    async def authenticate(self, method_id: str, **_: Any) -> AuthenticateResponse:
        """The connection's token said who it is."""
        del method_id
        return AuthenticateResponse()

    @told
    async def new_session(self, cwd: str, **more: Any) -> NewSessionResponse:
        """A session that begins with its first prompt; `_meta.quarterdeck` may name project, model and script."""
        session_id = f"acp-{secrets.token_hex(16)}"
        draft = self._draft(session_id, cwd, more.get("quarterdeck"))
        return NewSessionResponse(
            session_id=session_id, modes=_modes(draft), config_options=await self._options(draft.model)
        )

    @told
    async def load_session(self, cwd: str, session_id: str, **_: Any) -> LoadSessionResponse:
        """A session with all that happened in it."""
        open_session = await self._opened(session_id, cwd, replayed=True)
        planning, model = await self._settings(open_session)
        return LoadSessionResponse(modes=_modes(Draft(folder=cwd, planning=planning)), config_options=model)

    async def resume(self, asked: ResumeSessionRequest) -> ResumeSessionResponse:
        """The same without telling what happened; one in which nothing has been said yet is nowhere, and begins."""
        try:
            open_session = await self._opened(asked.session_id, asked.cwd, replayed=False)
        except NotFoundError:
            if not _BEGUN.fullmatch(asked.session_id):
                raise
            draft = self._draft(asked.session_id, asked.cwd, (asked.field_meta or {}).get("quarterdeck"))
            return ResumeSessionResponse(modes=_modes(draft), config_options=await self._options(draft.model))
        planning, model = await self._settings(open_session)
        return ResumeSessionResponse(modes=_modes(Draft(folder=asked.cwd, planning=planning)), config_options=model)

    @told
    async def list_sessions(self, cwd: str | None = None, cursor: str | None = None, **_: Any) -> ListSessionsResponse:
        """The person's chats and editors' sessions, the last active first."""
        folder = _folder(cwd) if cwd else None
        found = await editor_sessions.page(self._app, self.actor, folder=folder, behind=_place(cursor), limit=PAGE + 1)
        more = f"{found[PAGE - 1].last_activity.isoformat()} {found[PAGE - 1].id}" if len(found) > PAGE else None
        infos = [
            SessionInfo(
                session_id=_id_of(one), cwd=one.folder or "/", title=one.title, updated_at=one.last_activity.isoformat()
            )
            for one in found[:PAGE]
        ]
        return ListSessionsResponse(sessions=infos, next_cursor=more)

    @told
    async def set_session_mode(self, session_id: str, mode_id: str, **_: Any) -> None:
        """Build or plan."""
        if mode_id not in {mode.id for mode in _MODES}:
            raise RequestError.invalid_params({"modeId": "build or plan"})
        if (draft := self._drafts.get(session_id)) is not None:
            draft.planning = mode_id == "plan"
        else:
            (await self._opened(session_id, "", replayed=False)).planning = mode_id == "plan"

    @told
    async def set_config_option(
        self, config_id: str, session_id: str, value: str | bool, **_: Any
    ) -> SetSessionConfigOptionResponse:
        """The model, before the first prompt; a session keeps the one that it began with."""
        if config_id != "model" or not isinstance(value, str):
            raise RequestError.invalid_params({"configId": "model"})
        draft = self._drafts.get(session_id)
        if draft is None:
            raise ConflictError("A session keeps the model that it began with. Begin a new one for another model.")
        draft.model = value
        return SetSessionConfigOptionResponse(config_options=await self._options(draft.model))

    @told
    async def prompt(self, session_id: str, prompt: list[Any], **_: Any) -> PromptResponse:
        """What the person says, and all that the agent does until it is their turn again."""
        text = text_of(prompt)
        self._cancelled.discard(session_id)
        if session_id in self._drafts:
            return self._ended(session_id, await (await self._begin(session_id, text)).turn())
        open_session = await self._opened(session_id, "", replayed=False)
        turn = open_session.turn()
        open_session.teller.own.append(text)
        view = await steering.reply(self._app, self.actor, open_session.number, text)
        if view.status is Status.PAUSED:
            await steering.resume(self._app, self.actor, open_session.number)
        return self._ended(session_id, await turn)

    def _ended(self, session_id: str, status: Status) -> PromptResponse:
        reason = "cancelled" if session_id in self._cancelled else _ENDS.get(status, "end_turn")
        return PromptResponse(stop_reason=cast("Any", reason))

    @told
    async def cancel(self, session_id: str, **_: Any) -> None:
        """Interrupts the answer; the session lives on. A flow has none, and pauses."""
        self._cancelled.add(session_id)
        if (open_session := self._open.get(session_id)) is None:
            return
        try:
            await interruption.interrupt(self._app, self.actor, open_session.number)
        except ConflictError:
            await steering.pause(self._app, self.actor, open_session.number)

    @told
    async def ext_method(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The methods that the package's server doesn't route."""
        match method:
            case "session/resume":
                return _dumped(await self.resume(ResumeSessionRequest.model_validate(params)))
            case "session/close":
                await self._close(CloseSessionRequest.model_validate(params).session_id)
            case "session/delete":
                await self._delete(DeleteSessionRequest.model_validate(params).session_id)
            case "session/fork":
                return _dumped(await self._fork(ForkSessionRequest.model_validate(params)))
            case _:
                raise RequestError.method_not_found(method)
        return {}

    async def ext_notification(self, method: str, params: dict[str, Any]) -> None:
        """None is known."""
        del method, params

    def opened(self, session_id: str) -> OpenSession | None:
        """The session, if the editor has it open and something was said in it."""
        return self._open.get(session_id)

    async def end(self) -> None:
        """The connection is over: nothing is stopped, and what the editor carried out is interrupted."""
        for open_session in tuple(self._open.values()):
            await open_session.close()
        for hands in self._hands.values():
            await hands.end()

    def _draft(self, session_id: str, cwd: str, wish: object) -> Draft:
        asked = Wish.model_validate(wish or {})
        draft = self._drafts[session_id] = Draft(folder=_folder(cwd), **asked.model_dump())
        return draft

    async def _begin(self, session_id: str, text: str) -> OpenSession:
        draft = self._drafts[session_id]
        project, executor = await self._place_of(draft)
        request = StartChat(message=text, project=project, model=draft.model, script=draft.script, executor=executor)
        view = await chats.start(self._app, self.actor, request, f"{KEY}{session_id.removeprefix('acp-')}")
        open_session = self._follow(session_id, view.id, draft.folder)
        open_session.planning = draft.planning
        open_session.teller.own.append(view.goal)
        del self._drafts[session_id]
        open_session.follow()
        if self._carries_out and project is None:
            await open_session.say(NO_PROJECT)
        return open_session

    async def _place_of(self, draft: Draft) -> tuple[int | str | None, int | None]:
        """The project of a session that begins, and the editor that carries its calls out, if it can."""
        project: int | str | None = draft.project
        if project is None:
            offered = (await chat_choices.choices(self._app, self.actor)).projects
            project = offered[0].id if len(offered) == 1 else None
        if project is None or not self._carries_out:
            return project, None
        return project, await self._hand(draft.folder).attach()

    def _hand(self, folder: str) -> Hands:
        if folder not in self._hands:
            self._hands[folder] = Hands(self._app, self.actor, self._client, self._name, folder)
        return self._hands[folder]

    def _follow(self, session_id: str, number: int, folder: str) -> OpenSession:
        open_session = self._open[session_id] = OpenSession(
            self._app, self.actor, self._client, session_id, number, folder
        )
        if (hands := self._hands.get(folder)) is not None:
            hands.open(number, session_id)
        return open_session

    async def _opened(self, session_id: str, cwd: str, *, replayed: bool) -> OpenSession:
        """The session of that id, from here on followed. Raises NotFoundError."""
        if (known := self._open.get(session_id)) is not None and not replayed:
            return known
        if known is not None:
            await known.close()
        one = await self._known(session_id)
        folder = _folder(cwd) if cwd else one.folder or "/"
        if self._carries_out and one.folder == folder:
            await self._hand(folder).attach()
        open_session = self._follow(session_id, one.id, folder)
        await (open_session.replay() if replayed else open_session.skip())
        open_session.follow()
        return open_session

    async def _known(self, session_id: str) -> EditorSession:
        if session_id.isascii() and session_id.isdigit() and len(session_id) < _DIGITS:
            return await editor_sessions.find(self._app, self.actor, number=int(session_id))
        if not _BEGUN.fullmatch(session_id):
            raise NotFoundError("There is no such session of yours.")
        return await editor_sessions.find(self._app, self.actor, key=f"{KEY}{session_id.removeprefix('acp-')}")

    async def _settings(self, open_session: OpenSession) -> tuple[bool, list[Any]]:
        view = await open_session.view()
        return open_session.planning, [_model(view.model, [view.model])]

    async def _options(self, model: str | None) -> list[Any]:
        view = await model_rules.show(self._app, self.actor)
        known = [model, view.default, *(rule.default for rule in view.rules if rule.project is None)]
        offered = list(dict.fromkeys(name for name in known if name))
        return [_model(offered[0], offered)] if offered else []

    async def _close(self, session_id: str) -> None:
        self._drafts.pop(session_id, None)
        if (open_session := self._open.pop(session_id, None)) is not None:
            for hands in self._hands.values():
                hands.close(open_session.number)
            await open_session.close()

    async def _delete(self, session_id: str) -> None:
        if self._drafts.pop(session_id, None) is None:
            number = (await self._known(session_id)).id
            await self._close(session_id)
            await deletion.delete_session(self._app, self.actor, number)

    async def _fork(self, asked: ForkSessionRequest) -> ForkSessionResponse:
        source = await self._known(asked.session_id)
        new = secrets.token_hex(16)
        view = await forks.fork(self._app, self.actor, source.id, ForkSession(), f"{KEY}{new}")
        open_session = self._follow(f"acp-{new}", view.id, _folder(asked.cwd))
        await open_session.skip()
        open_session.follow()
        return ForkSessionResponse(
            session_id=f"acp-{new}",
            modes=_modes(Draft(folder=asked.cwd)),
            config_options=[_model(view.model, [view.model])],
        )


def _folder(cwd: str) -> str:
    if not cwd.startswith("/") and not re.match(r"^[A-Za-z]:[\\/]", cwd):
        raise RequestError.invalid_params({"cwd": "an absolute path"})
    return cwd.rstrip("/") or "/"


def _modes(draft: Draft) -> SessionModeState:
    return SessionModeState(current_mode_id="plan" if draft.planning else "build", available_modes=_MODES)


def _model(chosen: str, offered: list[str]) -> SessionConfigOptionSelect:
    options = [SessionConfigSelectOption(value=name, name=name) for name in offered]
    return SessionConfigOptionSelect(
        id="model", name="Model", category="model", type="select", current_value=chosen, options=options
    )


def _id_of(one: EditorSession) -> str:
    return f"acp-{one.key.removeprefix(KEY)}" if one.key and one.key.startswith(KEY) else str(one.id)


def _place(cursor: str | None) -> tuple[datetime, int] | None:
    if cursor is None:
        return None
    at, _, number = cursor.partition(" ")
    try:
        return datetime.fromisoformat(at), int(number)
    except ValueError:
        raise RequestError.invalid_params({"cursor": "that of another answer"}) from None


def _dumped(answer: BaseModel) -> dict[str, Any]:
    return answer.model_dump(mode="json", by_alias=True, exclude_none=True)

"""The backup file: a tar of small parts, compressed by zstd; neither end ever holds more than one part in memory.

backup.json                  Head
database/<table>/<n>         the rows, as COPY writes them
repositories/<project>/<n>   a bundle of git
secrets.key                  where it was asked for
contents.json                Contents: what is known at the end alone, with the checksum of all before it
"""

import hashlib
import io
import tarfile
from collections.abc import AsyncIterable, Generator, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import groupby
from typing import IO, TYPE_CHECKING, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from quarterdeck.core.errors import InvalidInputError
from quarterdeck.forges.local.copies import RepositoryForm
from quarterdeck.store.dump import TableForm

if TYPE_CHECKING:
    import zstandard

HEAD, CONTENTS, SECRETS = "backup.json", "contents.json", "secrets.key"
DATABASE, REPOSITORIES = "database", "repositories"
PART_BYTES = 4 * 1024 * 1024
FORMAT = 1

_Model = TypeVar("_Model", bound=BaseModel)


class BackupFileError(InvalidInputError):
    """The file is no backup, or it is damaged."""


class Head(BaseModel, frozen=True):
    """What a backup says of itself at its beginning."""

    format: int = FORMAT
    version: str
    """Of the Quarterdeck that wrote it."""
    step: str
    """Of the database's schema."""
    at: datetime
    tables: tuple[TableForm, ...]
    """In the order in which they come, which is the one that their references need."""


class Contents(BaseModel, frozen=True):
    """What a backup says at its end."""

    sequences: dict[str, int]
    repositories: dict[int, RepositoryForm]
    sha256: str


class _Checksum:
    """Of names, sizes and bytes of all members."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, name: str, data: bytes) -> None:
        self._hash.update(f"{name}\0{len(data)}\0".encode())
        self._hash.update(data)

    def __str__(self) -> str:
        return self._hash.hexdigest()


class Writer:
    """Writes a backup, member behind member."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._checksum = _Checksum()

    def head(self, head: Head) -> None:
        """Comes first."""
        self.put(HEAD, head.model_dump_json().encode())

    def put(self, name: str, data: bytes) -> None:
        """A member as a whole."""
        self._checksum.add(name, data)
        self._put(name, data)

    async def parts(self, folder: str, pieces: AsyncIterable[bytes]) -> None:
        """Something of any size."""
        waiting, number = bytearray(), 0
        async for piece in pieces:
            waiting += piece
            while len(waiting) >= PART_BYTES:
                self.put(f"{folder}/{number}", bytes(waiting[:PART_BYTES]))
                del waiting[:PART_BYTES]
                number += 1
        if waiting:
            self.put(f"{folder}/{number}", bytes(waiting))

    def contents(self, sequences: dict[str, int], repositories: dict[int, RepositoryForm]) -> None:
        """Comes last."""
        said = Contents(sequences=sequences, repositories=repositories, sha256=str(self._checksum))
        self._put(CONTENTS, said.model_dump_json().encode())

    def _put(self, name: str, data: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(data), 0o600
        self._tar.addfile(member, io.BytesIO(data))


@contextmanager
def writing(file: IO[bytes]) -> Generator[Writer]:
    """A backup that is written to `file`."""
    import zstandard

    compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
    with (
        compressor.stream_writer(file, closefd=False) as stream,
        tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        yield Writer(tar)


Section = tuple[Literal["database", "repositories", "secrets.key"], str, Iterator[bytes]]
"""What it is of, which one, and its bytes in pieces."""


def verified(file: IO[bytes]) -> tuple[Head, Contents]:
    """Reads all of it. Raises BackupFileError when a bit of what it holds is not as it was written."""
    checksum, head, contents = _Checksum(), None, None
    for name, data in _members(file):
        if contents is not None:
            raise BackupFileError("The backup is damaged: something stands behind its end.")
        if name == CONTENTS:
            contents = _parsed(Contents, data)
            continue
        if head is None:
            head = _head(name, data)
        checksum.add(name, data)
    if head is None or contents is None:
        raise BackupFileError("The backup is not whole: its end is missing.")
    if contents.sha256 != str(checksum):
        raise BackupFileError("The backup is damaged: its checksum doesn't fit.")
    return head, contents


def sections(file: IO[bytes]) -> Iterator[Section]:
    """What stands between head and contents, in its order; each is to be read before the next is asked for."""

    def whose(member: tuple[str, bytes]) -> tuple[str, str]:
        words = member[0].split("/")
        return words[0], words[1] if len(words) == 3 else ""

    for (kind, name), members in groupby(_members(file), whose):
        if kind in (DATABASE, REPOSITORIES, SECRETS):
            yield kind, name, (data for _, data in members)


def _head(name: str, data: bytes) -> Head:
    if name != HEAD:
        raise BackupFileError("The file is no backup of Quarterdeck.")
    head = _parsed(Head, data)
    if head.format != FORMAT:
        raise BackupFileError(
            f"The backup has form {head.format}, which this Quarterdeck doesn't read. Quarterdeck {head.version}, "
            "which wrote it, does: install that version and restore with it."
        )
    return head


def _members(file: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    import zstandard

    file.seek(0)
    try:
        stream = zstandard.ZstdDecompressor().stream_reader(file, closefd=False)
        with _reading(stream) as tar:
            for member in tar:
                content = tar.extractfile(member) if member.size <= PART_BYTES else None
                if content is None:
                    raise BackupFileError(f"The backup has {member.name!r}, which no backup has.")
                yield member.name, content.read()
        # Behind the last member: only there zstd compares its checksum, which knows of damage between members, too.
        while stream.read(PART_BYTES):
            pass
    except (tarfile.TarError, zstandard.ZstdError, EOFError) as error:
        raise BackupFileError(f"The file is no backup of Quarterdeck, or it is damaged: {error}.") from error


def _reading(stream: "zstandard.ZstdDecompressionReader") -> tarfile.TarFile:
    return tarfile.open(fileobj=stream, mode="r|")


def _parsed(kind: type[_Model], data: bytes) -> _Model:
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        raise BackupFileError("The backup can't be read: what it says of itself makes no sense.") from error

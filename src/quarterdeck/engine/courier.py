"""What carries messages out of the server: HTTP to where people say, and e-mail by the administrator's server."""

import asyncio
import smtplib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from importlib import import_module
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from pydantic import SecretStr

from quarterdeck.app.outside import Posted
from quarterdeck.core.errors import InvalidInputError, QuarterdeckError, TooLargeError, UnavailableError
from quarterdeck.core.text import clean, line

if TYPE_CHECKING:
    from httpx2 import Response

POST_SECONDS = 15
"""For the whole of it: the name, the connection, the answer."""
MAIL_SECONDS = 20
ANSWER_BYTES = 4_096
"""More of an answer is not read."""
SETTING = "QUARTERDECK_WEBHOOK_PRIVATE_ADDRESSES"

Security = Literal["starttls", "tls", "none"]


@dataclass(frozen=True)
class MailServer:
    """By which server e-mail goes."""

    host: str
    port: int
    security: Security
    username: str
    password: SecretStr | None
    sender: str
    """The address that it comes from."""


class Courier:
    """See `app.outside.Courier`. `private` lets it go to the private network, and by plain HTTP."""

    def __init__(self, *, private: bool, mail: MailServer | None, public_url: str) -> None:
        self.private = private
        self._mail = mail
        self._host = urlsplit(public_url).hostname or "localhost"

    @property
    def mails(self) -> bool:
        """Whether there is a mail server."""
        return self._mail is not None

    async def post(self, url: str, headers: Mapping[str, str], body: str) -> Posted:
        """Sends JSON, and answers with the status and the beginning of what was said."""
        http = await asyncio.to_thread(import_module, "quarterdeck.engine.bounded_http")
        sent = {**headers, "Content-Type": "application/json", "User-Agent": "Quarterdeck"}
        client = http.connection(
            private=self.private, setting=SETTING, headers=sent, seconds=POST_SECONDS, most_bytes=1024 * 1024
        )
        try:
            async with (
                asyncio.timeout(POST_SECONDS),
                client as own,
                own.stream("POST", url, content=body.encode()) as answer,
            ):
                return Posted(answer.status_code, await _beginning(answer))
        except TimeoutError:
            raise UnavailableError(f"It did not answer within {POST_SECONDS} seconds.") from None
        except QuarterdeckError:
            raise
        except Exception as error:
            raise UnavailableError(f"It can't be reached: {_words(error)}") from None

    async def mail(self, to: str, subject: str, text: str, name: str) -> None:
        """Sends an e-mail of plain text."""
        if self._mail is None:
            raise InvalidInputError("This server sends no e-mail.")
        message = self._message(self._mail, to, subject, text, name)
        try:
            async with asyncio.timeout(MAIL_SECONDS * 2):
                await asyncio.to_thread(_hand_over, self._mail, message)
        except smtplib.SMTPRecipientsRefused:
            raise InvalidInputError("The mail server refuses the address.") from None
        except smtplib.SMTPAuthenticationError:
            raise UnavailableError("The mail server refuses the server's own username and password.") from None
        except (smtplib.SMTPException, OSError) as error:  # a TimeoutError is one
            raise UnavailableError(f"The mail server can't be reached: {_words(error)}") from None

    def _message(self, server: MailServer, to: str, subject: str, text: str, name: str) -> EmailMessage:
        address = parseaddr(to)[1]
        if "@" not in address or not to.isprintable():
            raise InvalidInputError("This is no e-mail address.")
        message = EmailMessage()
        message["Subject"] = line(clean(subject), 300)
        message["From"] = server.sender
        message["To"] = address
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Message-ID"] = f"<{name}@{self._host}>"
        message["Auto-Submitted"] = "auto-generated"  # nobody's absence answers it
        message.set_content(clean(text))
        return message


async def _beginning(answer: "Response") -> str:
    """Its first bytes as text; however long the rest is, it isn't asked for."""
    found = bytearray()
    try:
        async for chunk in answer.aiter_raw():
            found += chunk
            if len(found) >= ANSWER_BYTES:
                break
    except TooLargeError:
        pass
    return clean(bytes(found[:ANSWER_BYTES]).decode("utf-8", "replace"))


def _hand_over(server: MailServer, message: EmailMessage) -> None:
    """To the server, over a connection that nobody else reads unless the administrator said so."""
    context = ssl.create_default_context()
    if server.security == "tls":
        connection = smtplib.SMTP_SSL(server.host, server.port, timeout=MAIL_SECONDS, context=context)
    else:
        connection = smtplib.SMTP(server.host, server.port, timeout=MAIL_SECONDS)
    with connection:
        if server.security == "starttls":
            connection.starttls(context=context)
        if server.username and server.password is not None:
            connection.login(server.username, server.password.get_secret_value())
        connection.send_message(message)


def _words(error: Exception) -> str:
    return line(clean(str(error)), 300) or type(error).__name__

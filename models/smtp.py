"""Talking to the mail server of an MSP; whatever it answers becomes a sentence for people."""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as POLICY
from email.utils import formatdate
from typing import NamedTuple

import aiosmtplib
import idna

from models.logo import for_mail
from models.partner import MailSecurity, Partner
from models.sealed import Unreadable, unseal
from models.text import printable

PATIENCE = 20.0  # seconds that the server may take for one answer
LOGO_PLACE = '<!--logo-->'  # where a template wants the logo of the MSP
LONGEST = 60.0  # seconds that one message, or the connection with everything that belongs to it, may take


class Unusable(Exception):
    """The mail server cannot be used, whatever the message: not reached, not to be trusted, or it lets us not in."""


class Lost(Unusable):
    """The connection broke while a message was handed over: the server may be away, or it may be this message on which
    it breaks; whether it has taken it, nobody knows."""


class Refused(Exception):
    """The mail server did not take one message; `for_good` says that it never will."""

    def __init__(self, message: str, *, for_good: bool) -> None:
        super().__init__(message)
        self.for_good = for_good


class Document(NamedTuple):
    """A PDF that goes with a message, and what it is called there."""

    name: str
    pdf: bytes


class Server:
    """A mail server that one is connected to."""

    def __init__(self, client: aiosmtplib.SMTP, partner: Partner) -> None:
        self._client = client
        self._partner = partner
        self._sender = _ascii(partner.mail_from)

    async def send(
        self, *, key: str, recipient: str, subject: str, text: str, html: str, document: Document | None = None
    ) -> str:
        """Hand over one message; give what the server says to it. Raises `Refused`, `Unusable` and `Lost`."""
        try:
            to = _ascii(recipient)
        except UnicodeError:
            raise Refused('Mail to an address with such letters cannot be sent.', for_good=True) from None
        # In a thread: a document of some megabytes takes a while to be written in letters.
        message = await asyncio.to_thread(
            self._message, key=key, to=to, subject=subject, text=text, html=html, document=document
        )
        try:
            async with asyncio.timeout(LONGEST):
                _, said = await self._client.sendmail(self._sender, [to], message)
        except aiosmtplib.SMTPRecipientsRefused as error:
            first = error.recipients[0]
            raise _refused(f'The mail server refused the address {to}', first.code, first.message) from None
        except aiosmtplib.SMTPSenderRefused as error:
            # The sender is a setting: nothing is wrong with the message.
            raise Unusable(_answered(f'The mail server refuses the sender {self._sender}', error)) from None
        except (aiosmtplib.SMTPDataError, aiosmtplib.SMTPRecipientRefused) as error:
            raise _refused('The mail server refused the message', error.code, error.message) from None
        except aiosmtplib.SMTPResponseException as error:
            raise Unusable(_answered('The mail server gave an answer that was not expected', error)) from None
        except ValueError:
            raise Refused(f'{to} is not an address that a mail server takes.', for_good=True) from None
        except (aiosmtplib.SMTPException, OSError) as error:
            raise Lost(f'The connection to the mail server was lost{_detail(error)}.') from None
        return printable(said)[:200]

    def _message(self, *, key: str, to: str, subject: str, text: str, html: str, document: Document | None) -> bytes:
        domain = self._sender.rpartition('@')[2]
        message = EmailMessage(policy=POLICY)
        message['From'] = Address(printable(self._partner.name), addr_spec=self._sender)
        message['To'] = Address(addr_spec=to)
        message['Subject'] = printable(subject)
        message['Date'] = formatdate()
        message['Message-ID'] = f'<{key}@{domain}>'
        message['Auto-Submitted'] = 'auto-generated'  # nobody's out-of-office assistant answers
        message.set_content(text)
        self._add_html(message, html, f'logo@{domain}')
        if document is not None:
            message.add_attachment(
                document.pdf, maintype='application', subtype='pdf', filename=printable(document.name)
            )  # fmt: skip
        return message.as_bytes()

    def _add_html(self, message: EmailMessage, html: str, name: str) -> None:
        """The HTML with the logo beside it, not somewhere on the net: a message calls nobody when it is opened."""
        logo = for_mail(bytes(self._partner.logo)) if self._partner.logo else None
        if logo is None:
            message.add_alternative(html.replace(LOGO_PLACE, ''), subtype='html')
            return
        shown = (
            f'<img src="cid:{name}" alt="" width="{logo.width}" height="{logo.height}" style="display:block;'
            'margin:0 0 12px;padding:4px;border-radius:6px;background:#ffffff">'
        )
        message.add_alternative(html.replace(LOGO_PLACE, shown, 1), subtype='html')
        (*_, part) = message.iter_parts()
        part.add_related(  # type: ignore[attr-defined]
            logo.png, maintype='image', subtype='png', cid=f'<{name}>', filename='logo.png', disposition='inline'
        )  # fmt: skip


@contextlib.asynccontextmanager
async def connected(partner: Partner) -> AsyncIterator[Server]:
    """The MSP's mail server, ready to take messages; raises `Unusable`."""
    if not partner.smtp_host:
        raise Unusable('No mail server is set.')
    password = ''  # nosec B105 # there is none
    if partner.smtp_password:
        try:
            password = unseal(partner.smtp_password, password_purpose(partner.id))
        except Unreadable:
            why = 'The password cannot be read: it was stored with another PORTAL_SECRET. Set it again.'
            raise Unusable(why) from None
    at = f'{partner.smtp_host}:{partner.smtp_port}'
    client = aiosmtplib.SMTP(
        hostname=partner.smtp_host, port=partner.smtp_port, use_tls=partner.smtp_security == MailSecurity.TLS,
        start_tls=partner.smtp_security == MailSecurity.STARTTLS, timeout=PATIENCE,
        # Not what this machine is called: that is nobody's business.
        local_hostname='[127.0.0.1]',
    )  # fmt: skip
    try:
        async with asyncio.timeout(LONGEST):
            await client.connect()
            server = Server(client, partner)
            if partner.smtp_user:
                await client.login(partner.smtp_user, password)
    except BaseException as error:
        client.close()
        if not isinstance(error, Exception):
            raise
        raise Unusable(_why_not(error, at)) from None
    try:
        yield server
    finally:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(3):
                await client.quit()
        client.close()


def password_purpose(partner_id: int) -> str:
    """What the password is sealed for."""
    return f'smtp {partner_id}'


def _why_not(error: Exception, at: str) -> str:
    for each in _chain(error):
        if isinstance(each, ssl.SSLCertVerificationError):
            return f'The certificate of {at} cannot be trusted: {each.verify_message.rstrip(".")}.'
        if isinstance(each, ssl.SSLError):
            reason = (each.reason or str(each)).replace('_', ' ').lower()
            return f'No encrypted connection to {at} ({reason}). Is it the right port for this kind of security?'
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return _answered('The mail server does not accept the user and password', error)
    if isinstance(error, UnicodeError):
        return 'The sender is not an address that a mail server takes.'
    if isinstance(error, TimeoutError | aiosmtplib.SMTPTimeoutError):
        return f'{at} does not answer.'
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return _answered(f'{at} turned the portal away', error)
    if isinstance(error, aiosmtplib.SMTPException) and not isinstance(error, OSError):
        return f'{at} does not offer what is set here: {printable(str(error)).rstrip(".")}.'
    return f'{at} cannot be reached{_detail(error)}.'


def _chain(error: BaseException | None):
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _answered(what: str, error: aiosmtplib.SMTPResponseException) -> str:
    return f'{what} ({error.code} {printable(error.message)[:160]}).'


def _refused(what: str, code: int, said: str) -> Refused:
    return Refused(f'{what} ({code} {printable(said)[:160]}).', for_good=code >= 500)


def _detail(error: Exception) -> str:
    for each in _chain(error):
        if isinstance(each, socket.gaierror):
            return ' (there is no such name)'
        if isinstance(each, OSError) and each.errno:
            return f' ({os.strerror(each.errno).lower()})'
    said = printable(str(error)).rstrip('.')[:160]
    return f' ({said})' if said else ''


def _ascii(address: str) -> str:
    """The address as every mail server takes it; raises UnicodeError for letters before the @ that none need take."""
    local, _, domain = address.rpartition('@')
    if not domain.isascii():
        domain = idna.encode(domain, uts46=True).decode()
    local.encode('ascii')
    return f'{local}@{domain}'

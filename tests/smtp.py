"""A real mail server on this machine, which a test tells what to answer."""

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from models import MailSecurity, Partner
from models.sealed import seal
from models.smtp import password_purpose


class Post:
    """What has arrived, and what is answered: `rcpt`, `data` and `sender` by address, or for everybody with `''`."""

    def __init__(self) -> None:
        self.got: list[EmailMessage] = []
        self.rcpt: dict[str, str] = {}
        self.data: dict[str, str] = {}
        self.sender = ''
        self.connections = 0
        self.breaks_on = ''  # of whose message it ends the connection
        self.before_answer: Any = None  # an async function, called when a message is there and before it is taken

    async def handle_EHLO(self, _server, session, _envelope, hostname, responses):
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_MAIL(self, _server, _session, envelope, address, options):
        if self.sender:
            return self.sender
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return '250 OK'

    async def handle_RCPT(self, _server, _session, envelope, address, _options):
        if answer := self.rcpt.get(address) or self.rcpt.get(''):
            return answer
        envelope.rcpt_tos.append(address)
        return '250 OK'

    async def handle_DATA(self, server, _session, envelope):
        if self.breaks_on in envelope.rcpt_tos:
            server.transport.abort()
            return '421 Gone'
        if self.before_answer:
            await self.before_answer()
        if answer := self.data.get(envelope.rcpt_tos[0]) or self.data.get(''):
            return answer
        self.got.append(message_from_bytes(envelope.content, policy=policy.default))  # type: ignore[arg-type]
        return '250 Taken as 4711'

    @property
    def recipients(self) -> list[str]:
        return [str(message['To']) for message in self.got]


@asynccontextmanager
async def mail_server(
    post: Post, *, port: int = 0, tls: ssl.SSLContext | None = None, **options: Any
) -> AsyncIterator[int]:
    """Listen on 127.0.0.1 and give the port. `tls`: encrypted from the beginning; `tls_context` offers STARTTLS."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(post, hostname='mail.test', loop=loop, **options), '127.0.0.1', port, ssl=tls
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def only(user: str, password: str):
    """An authenticator that lets only this user in."""

    def authenticate(_server, _session, _envelope, _mechanism, data):
        return AuthResult(success=(data.login, data.password) == (user.encode(), password.encode()), handled=False)

    return authenticate


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A certificate for localhost that signs itself: the context of the server, and the file to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, 'localhost')])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName('localhost'), x509.IPAddress(ipaddress.ip_address('127.0.0.1'))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / 'certificate.pem'
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = folder / 'key.pem'
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, private)
    return context, pem


async def use(
    partner: Partner, port: int, *, security: MailSecurity = MailSecurity.NONE, user: str = '', password: str = ''
) -> Partner:
    """Let the MSP send by the server at this port."""
    partner.smtp_host, partner.smtp_port, partner.smtp_security = '127.0.0.1', port, security
    partner.smtp_user, partner.mail_from = user, 'portal@northwind.example'
    partner.smtp_password = seal(password, password_purpose(partner.id)) if password else ''
    await partner.save()
    return partner

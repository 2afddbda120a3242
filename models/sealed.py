"""Secrets that have to be read again (a mail server's password, a second factor's key): sealed, never in the clear.

AES-GCM with a key derived from the portal's secret (`PORTAL_SECRET`), one for each purpose, so that what was sealed for
one is nothing to another. Without the secret nobody opens what is in the database, the portal neither.
"""

import base64
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from settings import settings

VERSION = 's1.'
_NONCE = 12  # bytes


class Unreadable(ValueError):
    """What was sealed cannot be opened: sealed with another secret, for another purpose, or damaged."""


def seal(text: str, purpose: str) -> str:
    """The text, sealed for a purpose (`totp 12`, `smtp 1`): printable, about 1.4 times as long and 40 more."""
    nonce = os.urandom(_NONCE)
    sealed = AESGCM(_key(purpose)).encrypt(nonce, text.encode(), purpose.encode())
    return VERSION + base64.urlsafe_b64encode(nonce + sealed).decode()


def unseal(sealed: str, purpose: str) -> str:
    """What was sealed; raises `Unreadable`."""
    try:
        if not sealed.startswith(VERSION):
            raise Unreadable('This was not sealed by the portal.')
        found = base64.urlsafe_b64decode(sealed.removeprefix(VERSION))
        return AESGCM(_key(purpose)).decrypt(found[:_NONCE], found[_NONCE:], purpose.encode()).decode()
    except (InvalidTag, ValueError) as error:
        raise Unreadable('What was sealed cannot be opened; is PORTAL_SECRET the one it was sealed with?') from error


def _key(purpose: str) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=b'portal ' + purpose.encode()).derive(settings().secret_key().encode())

"""The second factor of somebody who signs in: codes that an app makes from a key and the time (TOTP, RFC 6238), and ten
recovery codes for whoever has lost the app.

A key that was begun is not asked for until a code of it has been typed (`totp_since`). Each code is taken once: the
time step of the last one is remembered, and only a later one counts. Whether the MSP insists on it is
`Partner.two_factor`.
"""

import hashlib
import hmac
import logging
import secrets
import time
from datetime import UTC, datetime

from pyotp import random_base32
from pyotp.totp import TOTP

from models import events, rights
from models.checking import Impossible, Invalid
from models.database import reader
from models.events import transaction
from models.history import HistoryEvent
from models.partner import Partner, TwoFactorRule
from models.recovery_code import RecoveryCode
from models.sealed import Unreadable, seal, unseal
from models.session import Session
from models.user import PortalUser

log = logging.getLogger(__name__)

STEP = 30  # seconds for which a code is shown
DRIFT = 1  # steps that a clock may be wrong, either way
CODES = 10
ISSUER = 'MSP Portal'
_LETTERS = '23456789abcdefghjkmnpqrstuvwxyz'  # none that looks like another one
_LENGTH = 15  # 74 bits: a plain hash is enough


def is_on(user: PortalUser) -> bool:
    return user.totp_since is not None


async def satisfied(user: PortalUser, session: Session) -> bool:
    """Whether this person may do what the MSP's rule protects (the sign-on to consoles), in this session.

    Who has two-factor has proven it in every session: all others end when it is switched on.
    """
    partner = await Partner.get(id=user.partner_id)
    if partner.two_factor == TwoFactorRule.OFF:
        return True
    fresh = await PortalUser.get(id=user.id)
    return is_on(fresh) and session.user_id == user.id


async def is_wanted_for_consoles(user: PortalUser) -> bool:
    """Whether consoles stay closed to this person, as they were read, until they have turned two-factor on."""
    if is_on(user):
        return False
    return (await Partner.get(id=user.partner_id, using_db=reader())).two_factor != TwoFactorRule.OFF


async def tell_of_consoles(partner: Partner) -> None:
    """The rule has changed: whoever has none sees other buttons."""
    for user in await PortalUser.filter(partner_id=partner.id, totp_since__isnull=True).only('id'):
        events.ROLES_CHANGED.emit(user.id)


async def must_enrol(user: PortalUser) -> bool:
    """Whether the MSP insists on a second factor for everyone, and this person has none."""
    return not is_on(user) and await Partner.exists(id=user.partner_id, two_factor=TwoFactorRule.EVERYONE)


async def insist(partner: Partner, *, but: PortalUser | None = None) -> None:
    """End the sessions of everybody of this MSP who has none, so that they are led to it when they sign in again; `but`
    made the rule and is led to it the next time.

    Called by the verb that makes the rule one for everyone, in its transaction.
    """
    async with transaction():
        without = PortalUser.filter(partner_id=partner.id, totp_since__isnull=True)
        for user in await without.exclude(id=but.id if but else 0):
            await Session.end_all_of(user, because='two-factor for everyone')


# -- to get one -------------------------------------------------------------------------------------------------------


async def begin(user: PortalUser) -> str:
    """A new key, which is not asked for yet; one that was begun before is forgotten. Raises `Impossible`."""
    rights.require(user, 'account.change')
    key = random_base32()
    sealed = seal(key, _purpose(user))
    if not await PortalUser.filter(id=user.id, totp_since__isnull=True).update(totp_key=sealed):
        raise Impossible('Two-factor is on already. Turn it off before you set it up anew.')
    user.totp_key = sealed
    return key


async def begun(user: PortalUser) -> str | None:
    """The key that was begun and is not in force yet, if there is one."""
    fresh = await PortalUser.get(id=user.id)
    return None if is_on(fresh) else _key_of(fresh)


def address(user: PortalUser, key: str) -> str:
    """What the QR code says: the address by which apps take up a key."""
    return TOTP(key, interval=STEP).provisioning_uri(name=user.email, issuer_name=ISSUER)


async def confirm(user: PortalUser, code: str, *, keep_session: int | None = None) -> list[str]:
    """Switch it on with a code of the key that was begun; gives the recovery codes, which are shown once.

    Every session but `keep_session` ends. Raises `Invalid` and `Impossible`.
    """
    rights.require(user, 'account.change')
    fresh = await PortalUser.get(id=user.id)
    key = _key_of(fresh)
    if is_on(fresh) or key is None:
        raise Impossible('There is nothing to confirm: two-factor is on already, or was not begun.')
    step = _step_of(key, code, after=0)
    if step is None:
        raise Invalid('code', 'is not what the app shows now; check that the clock of the phone is right')
    now = datetime.now(UTC)
    async with transaction():
        waiting = PortalUser.filter(id=user.id, totp_key=fresh.totp_key, totp_since__isnull=True)
        if not await waiting.update(totp_since=now, totp_step=step):
            raise Impossible('Two-factor was begun anew in another window. Go on there, or begin once more.')
        codes = await _new_codes(user)
        await HistoryEvent.add(user.partner_id, 'user.two_factor_on', f'{user.email} turned two-factor on', by=user)
        await Session.end_all_of(user, because='two-factor changed', except_id=keep_session)
        events.USERS_CHANGED.emit(user.partner_id)
        events.ROLES_CHANGED.emit(user.id)  # consoles may open now
    user.totp_since, user.totp_step, user.totp_key = now, step, fresh.totp_key
    return codes


async def renew_codes(user: PortalUser, code: str) -> list[str]:
    """Ten new recovery codes for a code; the old ones are void. Raises `Invalid` and `Impossible`."""
    rights.require(user, 'account.change')
    if not is_on(await PortalUser.get(id=user.id)):
        raise Impossible('Two-factor is off, so there is nothing to recover.')
    async with transaction():
        if not await verify(user, code):
            raise Invalid('code', 'is not right, or was used before')
        codes = await _new_codes(user)
        await HistoryEvent.add(
            user.partner_id, 'user.recovery_codes_renewed', f'{user.email} made new recovery codes', by=user
        )
    return codes


async def codes_left(user: PortalUser) -> int:
    return await RecoveryCode.filter(user_id=user.id, used_at__isnull=True).count()


# -- to prove it ------------------------------------------------------------------------------------------------------


async def verify(user: PortalUser, code: str) -> bool:
    """Take a code of the app, or a recovery code; each is good once. False where it is wrong, old or was used."""
    fresh = await PortalUser.get(id=user.id)
    if not is_on(fresh):
        return False
    typed = _plain(code)
    if len(typed) != 6:
        return await _recover(fresh, typed)
    key = _key_of(fresh)
    step = None if key is None else _step_of(key, typed, after=fresh.totp_step)
    if step is None:
        return False
    # It names the step that it was judged by: of two who send a code at the same moment, one changes the row.
    judged = PortalUser.filter(id=user.id, totp_key=fresh.totp_key, totp_since__isnull=False, totp_step=fresh.totp_step)
    return bool(await judged.update(totp_step=step))


async def _recover(user: PortalUser, typed: str) -> bool:
    if len(typed) != _LENGTH:
        return False
    async with transaction():
        unused = RecoveryCode.filter(user_id=user.id, code_hash=_hash(user, typed), used_at__isnull=True)
        if not await unused.update(used_at=datetime.now(UTC)):
            return False
        left = await codes_left(user)
        await HistoryEvent.add(
            user.partner_id, 'user.recovery_code_used', f'{user.email} used a recovery code; {left} are left', by=user
        )
        events.USERS_CHANGED.emit(user.partner_id)
    return True


# -- to be rid of it --------------------------------------------------------------------------------------------------


async def turn_off(user: PortalUser, *, password: str = '', code: str = '', keep_session: int | None = None) -> None:
    """Switch it off, for the password and a code of the app or a recovery code: the factor that is given up has to be
    proven as well, or who has learnt the password and finds a page open is rid of what would keep them out. Somebody
    without a password proves it by the code alone.

    Every session but `keep_session` ends – that one as well where the MSP wants two-factor of everyone. Raises
    `Invalid` and `Impossible`.
    """
    rights.require(user, 'account.change')
    fresh = await PortalUser.get(id=user.id)
    if not is_on(fresh):
        raise Impossible('Two-factor is off already.')
    # The password first: a recovery code is not used up by a typing error in it.
    if fresh.password_hash and await PortalUser.signing_in(fresh.email, password) is None:
        raise Invalid('password', 'is not right')
    if not await verify(user, code):
        raise Invalid('code', 'is not right, or was used before')
    if await Partner.exists(id=user.partner_id, two_factor=TwoFactorRule.EVERYONE):
        keep_session = None
    await _remove(user, f'{user.email} turned two-factor off', 'user.two_factor_off', user, keep_session)


async def reset(user: PortalUser, by: PortalUser) -> None:
    """Take away somebody's second factor who has lost it and the recovery codes; all their sessions end.

    Raises `rights.Refused` and `Impossible`.
    """
    rights.require(by, 'user.manage')
    if user.partner_id != by.partner_id:
        raise rights.Refused('This person is not of your MSP.')
    if user.id == by.id:
        raise Impossible('Your own is turned off on your account page.')
    if not is_on(await PortalUser.get(id=user.id)):
        raise Impossible(f'{user.name} has no two-factor to reset.')
    await _remove(user, f'The two-factor of {user.email} was reset', 'user.two_factor_reset', by, None)


async def _remove(user: PortalUser, said: str, kind: str, by: PortalUser, keep_session: int | None) -> None:
    async with transaction():
        on = PortalUser.filter(id=user.id, totp_since__isnull=False)
        # The step stays: a key that comes back with a restored backup would take its last code a second time.
        if not await on.update(totp_key='', totp_since=None):
            return
        await RecoveryCode.filter(user_id=user.id).delete()
        await HistoryEvent.add(user.partner_id, kind, said, by=by)
        await Session.end_all_of(user, because='two-factor changed', except_id=keep_session)
        events.USERS_CHANGED.emit(user.partner_id)
        events.ROLES_CHANGED.emit(user.id)
    user.totp_key, user.totp_since = '', None


# -- keys and codes ---------------------------------------------------------------------------------------------------


def _purpose(user: PortalUser) -> str:
    return f'totp {user.id}'


def _key_of(user: PortalUser) -> str | None:
    if not user.totp_key:
        return None
    try:
        return unseal(user.totp_key, _purpose(user))
    except Unreadable as error:
        log.error('the second factor of user %s cannot be read: %s', user.id, error)
        return None


def _step_of(key: str, code: str, *, after: int) -> int | None:
    """The time step later than `after`, within the drift, whose code this is."""
    typed, now, found = _plain(code), int(time.time()) // STEP, None
    made = TOTP(key, interval=STEP)
    for step in range(now - DRIFT, now + DRIFT + 1):
        same = hmac.compare_digest(made.generate_otp(step).encode(), typed.encode())
        if same and step > after:
            found = step
    return found


def _plain(code: str) -> str:
    """A code as it is compared: without the spaces and dashes that people see."""
    return ''.join(c for c in code[:100].lower() if c.isascii() and c.isalnum())


def _hash(user: PortalUser, code: str) -> str:
    return hashlib.sha256(f'recovery {user.id} {_plain(code)}'.encode()).hexdigest()


async def _new_codes(user: PortalUser) -> list[str]:
    await RecoveryCode.filter(user_id=user.id).delete()
    codes = [''.join(secrets.choice(_LETTERS) for _ in range(_LENGTH)) for _ in range(CODES)]
    await RecoveryCode.bulk_create([RecoveryCode(user_id=user.id, code_hash=_hash(user, code)) for code in codes])
    return ['-'.join(code[i : i + 5] for i in range(0, _LENGTH, 5)) for code in codes]

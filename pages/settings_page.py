"""The settings of the MSP: what it is called, what customers begin with, security, help, mail, tokens, backups."""

import hashlib
from functools import cache
from typing import Any

from nicegui import ui

from components.frame import not_found
from components.island import Island
from models import ApiToken, BackupRun, CompletionRule, MailSecurity, Message, Partner, PortalUser, TwoFactorRule
from models.checking import MOST
from models.currency import CURRENCIES
from models.database import reader
from models.logo import EDGE, MOST_BYTES
from models.partner_facts import ARTICLES, LINK, time_zones
from models.rights import may
from pages.guard import viewer
from pages.help import base
from settings import settings

FACTS = (
    'name', 'address', 'currency', 'time_zone', 'lists_unsent_rfi', 'outbound_ips', 'inbound_ips', 'smart_hosts',
    'rfi_link_days', 'rfi_reminder_days', 'completion', 'mx_hosts', 'spf_include', 'two_factor', 'help_base',
    'smtp_host', 'smtp_port', 'smtp_security', 'smtp_user', 'mail_from',
    'order_desk', 'agreement', 'withdraw_days', 'upgrades_when_complete', 'sales_limit',
)  # fmt: skip
# What each choice means, beside it on the page.
TWO_FACTOR = {
    TwoFactorRule.OFF: 'Whoever wants one sets it up on their account page.',
    TwoFactorRule.CONSOLE: 'Without a second factor nobody opens a customer’s Administration Console.',
    TwoFactorRule.EVERYONE: 'Whoever has none sets it up at the next sign-in, before anything else.',
}
SECURITY = {
    MailSecurity.STARTTLS: 'STARTTLS (usually port 587)', MailSecurity.TLS: 'TLS (usually port 465)',
    MailSecurity.NONE: 'None: anybody on the way can read the mail',
}  # fmt: skip


COMPLETION = {
    CompletionRule.CONFIRMED: 'A person who may presses the button, and the customer moves to Complete.',
    CompletionRule.AUTOMATIC: 'The customer moves to Complete with the last step that applies.',
}


async def settings_page(user: PortalUser) -> None:
    who = await viewer(ui.context.client)
    if who is None or not may(who, 'settings.change'):
        not_found()
        return
    config = fixed() | {'public_url': settings().public_url} | await state_of(who)
    Island('settings.js', config).style('display: contents')


@cache
def fixed() -> dict[str, Any]:
    """What is the same for everybody who sees the page."""
    return {
        'currencies': [[code, f'{code} – {name}'] for code, name in CURRENCIES.items()],
        'time_zones': time_zones(), 'link': LINK, 'most': MOST, 'logo_kb': MOST_BYTES // 1000, 'logo_px': EDGE,
        'two_factors': [[rule.value, rule.title, about] for rule, about in TWO_FACTOR.items()],
        'completions': [[rule.value, rule.title, about] for rule, about in COMPLETION.items()],
        'securities': [[kind.value, title] for kind, title in SECURITY.items()],
        'articles': [[title, [[key, name] for key, name in keys.items()]] for title, keys in ARTICLES.items()],
    }  # fmt: skip


async def state_of(user: PortalUser) -> dict[str, Any]:
    """What the page shows, as it is now; no secret is in it."""
    partner = await Partner.get(id=user.partner_id, using_db=reader())
    facts = {name: partner.setting(name) for name in FACTS}
    return {
        'facts': facts | {LINK + key: address for key, address in partner.help_links.items()},
        'password_set': bool(partner.smtp_password), 'logo': logo_of(partner), 'help_at': base(),
        'mine': {'email': user.email, 'second_factor': user.totp_since is not None},
        'mail': await Message.standing(partner.id), 'backups': await BackupRun.latest(),
        'tokens': await ApiToken.of(partner.id) if may(user, 'token.manage') else None,
    }  # fmt: skip


def logo_of(partner: Partner) -> str:
    """The address of the logo, another one for every picture; empty where there is none."""
    return f'/api/ui/partner/logo?{hash_of(partner.logo)}' if partner.logo else ''


def hash_of(logo: bytes) -> str:
    return hashlib.sha256(logo).hexdigest()[:12]

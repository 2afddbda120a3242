"""Invitations and other passwords by a link, and asking for one at sign-in."""

import logging
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models import HistoryEvent, Message, OneTimeLink, Partner, PortalUser, Session, Sight
from pages import guard, links, sign_in
from settings import settings

NEW = 'a long new password'
FORM = {'password': NEW, 'again': NEW}


@pytest.fixture
async def invited(portal) -> Any:
    _user, issued = await PortalUser.invite(
        portal.northwind.partner, name='Nina', email='nina@northwind.example', role='sales', sight=Sight(),
        by=portal.northwind.ana,
    )  # fmt: skip
    return issued


async def _with_mail(portal, monkeypatch) -> None:
    monkeypatch.setenv('PORTAL_PUBLIC_URL', 'https://portal.example')
    settings.cache_clear()
    await Partner.filter(id=portal.northwind.partner.id).update(
        smtp_host='mail.example', mail_from='portal@northwind.example'
    )


async def test_an_invitation_is_looked_at_as_often_as_one_likes_and_taken_up_once(portal, invited):
    browser = portal.browser()
    for method in ('GET', 'HEAD', 'GET'):
        answer = await browser.request(method, f'/invite/{invited.token}')
        assert answer.status_code == 200
    assert 'Welcome, Nina' in answer.text
    assert 'nina@northwind.example' in answer.text
    answer = await browser.post(f'/invite/{invited.token}', data=FORM)
    assert (answer.status_code, answer.headers['location']) == (303, '/')
    assert (await browser.get('/api/ui/session')).json() == {'user': 'Nina'}
    answer = await portal.browser().post(f'/invite/{invited.token}', data=FORM)
    assert answer.status_code == 410
    assert 'has been used' in answer.text


async def test_the_address_is_told_to_nobody(portal, invited, caplog):
    caplog.set_level(logging.DEBUG)
    browser = portal.browser()
    for path in (f'/invite/{invited.token}', f'/reset/{invited.token}', f'/invite/{invited.token}x'):
        answer = await browser.get(path)
        assert answer.headers['referrer-policy'] == 'strict-origin'
        assert answer.headers['cache-control'] == 'no-store'
        assert invited.token not in answer.text
    answer = await browser.post(f'/invite/{invited.token}', data=FORM)
    assert answer.headers['referrer-policy'] == 'strict-origin'
    ours = [each for each in caplog.records if not each.name.startswith(('httpx', 'asyncio', 'tortoise'))]
    assert not [each for each in ours if invited.token in each.getMessage()]


@pytest.mark.parametrize('token', ['x' * 43, 'x', '%00' * 30, 'é' * 30, 'x' * 3000])
@pytest.mark.parametrize('kind', ['invite', 'reset'])
async def test_an_unknown_link_is_no_link_whatever_it_looks_like(portal, invited, kind, token):
    browser = portal.browser()
    for answer in (await browser.get(f'/{kind}/{token}'), await browser.post(f'/{kind}/{token}', data=FORM)):
        assert answer.status_code == 404
        assert 'There is no such link' in answer.text
    wrong = await browser.get(f'/reset/{invited.token}')  # genuine, but of the other kind
    assert wrong.status_code == 404


@pytest.mark.parametrize(
    ('form', 'said'),
    [
        ({'password': NEW, 'again': NEW + ' '}, 'The two passwords differ'),
        ({'password': 'short', 'again': 'short'}, 'at least 12'),
        ({'password': 'x' * 257, 'again': 'x' * 257}, 'at most 256'),
        ({}, 'at least 12'),
    ],
)
async def test_a_password_that_cannot_be_leaves_the_link_good(portal, invited, form, said):
    browser = portal.browser()
    answer = await browser.post(f'/invite/{invited.token}', data=form)
    assert answer.status_code == 422
    assert said in answer.text
    assert (await browser.post(f'/invite/{invited.token}', data=FORM)).status_code == 303


@pytest.mark.parametrize('why', ['expired', 'withdrawn', 'disabled'])
async def test_a_link_that_is_over_says_why_and_changes_nothing(portal, invited, why):
    if why == 'expired':
        await OneTimeLink.all().update(expires_at=datetime.now(UTC) - timedelta(minutes=1))
    elif why == 'withdrawn':
        await invited.link.user.revoke_links(by=portal.northwind.ana)
    else:
        await invited.link.user.disable(datetime.now(UTC), by=portal.northwind.ana)
    browser = portal.browser()
    for answer in (
        await browser.get(f'/invite/{invited.token}'),
        await browser.post(f'/invite/{invited.token}', data=FORM),
    ):
        assert answer.status_code == 410
        assert why in answer.text
    assert guard.COOKIE not in browser.cookies
    assert (await PortalUser.get(email='nina@northwind.example')).password_hash == ''


async def test_whoever_uses_a_reset_is_signed_out_everywhere_else(portal):
    tom = portal.northwind.tom
    elsewhere = await portal.signed_in(tom)
    issued = await tom.send_link(by=portal.northwind.ana)
    browser = await portal.signed_in(portal.northwind.ana)  # somebody else was signed in here
    answer = await browser.post(f'/reset/{issued.token}', data=FORM)
    assert answer.status_code == 303
    assert (await browser.get('/api/ui/session')).json() == {'user': 'Tom'}
    assert (await elsewhere.get('/api/ui/session')).status_code == 401
    assert await Session.filter(user_id=portal.northwind.ana.id, ended_at__isnull=True).count() == 0


async def test_a_second_factor_is_asked_for_after_a_reset_too(portal):
    tom = portal.northwind.tom
    await PortalUser.filter(id=tom.id).update(totp_key='sealed', totp_since=datetime.now(UTC))
    issued = await tom.send_link(by=portal.northwind.ana)
    browser = portal.browser()
    answer = await browser.post(f'/reset/{issued.token}', data=FORM)
    assert answer.headers['location'] == '/login/code'
    assert (await browser.get('/api/ui/session')).status_code == 401


async def test_a_form_of_another_site_uses_no_link(portal, invited):
    answer = await portal.browser().post(
        f'/invite/{invited.token}', data=FORM, headers={'origin': 'https://evil.example'}
    )
    assert answer.status_code == 403


# -- forgotten --------------------------------------------------------------------------------------------------------


async def _forgot(portal, email: str) -> Any:
    return await portal.browser().post('/forgot', data={'email': email})


async def test_who_forgot_the_password_gets_a_link_and_who_is_nobody_the_same_answer(portal, monkeypatch, until):
    await _with_mail(portal, monkeypatch)
    answers = [await _forgot(portal, email) for email in ('nobody@northwind.example', portal.northwind.tom.email)]
    assert {answer.status_code for answer in answers} == {200}
    texts = {re.sub(r'<b>.*?</b>', '', answer.text) for answer in answers}
    assert len(texts) == 1
    await until(lambda: not links._looking)
    message = await Message.get()
    assert (message.kind, message.recipient) == ('reset', portal.northwind.tom.email)
    found = re.search(r'https://portal\.example/reset/(\S+)', message.opened()[0])
    assert found
    assert (await portal.browser().post(f'/reset/{found[1]}', data=FORM)).status_code == 303
    assert await HistoryEvent.filter(kind='user.reset_requested').count() == 1


async def test_the_link_never_leads_where_the_request_says_it_came_to(portal, monkeypatch, until):
    await _with_mail(portal, monkeypatch)
    browser = portal.browser(base_url='http://evil.example')
    await browser.post('/forgot', data={'email': portal.northwind.tom.email})
    await until(lambda: not links._looking)
    assert 'evil' not in (await Message.get()).opened()[0]


async def test_without_a_public_address_nothing_is_sent_and_that_is_said(portal, until):
    await Partner.all().update(smtp_host='mail.example', mail_from='portal@northwind.example')
    browser = portal.browser()
    assert 'sends no links by itself' in (await browser.get('/forgot')).text
    assert 'sends no links by itself' in (await _forgot(portal, portal.northwind.tom.email)).text
    assert not links._looking
    assert await OneTimeLink.all().count() == 0


async def test_asking_again_and_again_is_slowed_down_for_anybody_alike(portal, monkeypatch, until):
    await _with_mail(portal, monkeypatch)
    for email in ('nobody@northwind.example', portal.northwind.tom.email):
        sign_in.throttle._failures.clear()
        codes = [(await _forgot(portal, email)).status_code for _ in range(7)]
        assert codes == [200] * 5 + [429] * 2
    await until(lambda: not links._looking)
    assert await Message.all().count() == 3  # and no more in an hour


async def test_a_flood_of_addresses_is_bounded(portal, monkeypatch, until):
    await _with_mail(portal, monkeypatch)
    monkeypatch.setattr(links, 'MOST_AT_ONCE', 0)
    assert (await _forgot(portal, portal.northwind.tom.email)).status_code == 200
    await until(lambda: not links._looking)
    assert await Message.all().count() == 0


@pytest.mark.parametrize('email', ['', '\x00', 'x' * 5000, '<b>x</b>@x.example'])
async def test_odd_addresses_are_answered_like_any_other(portal, monkeypatch, until, email):
    await _with_mail(portal, monkeypatch)
    answer = await _forgot(portal, email)
    assert answer.status_code == 200
    assert '<b>x</b>@' not in answer.text
    await until(lambda: not links._looking)


async def test_sign_in_leads_there(portal):
    assert 'href="/forgot"' in (await portal.browser().get('/login')).text
    answer = await portal.browser().get('/forgot')
    assert answer.status_code == 200

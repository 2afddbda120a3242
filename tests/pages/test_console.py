"""Signing on to consoles: who may, what is sent, and what the demo's console believes."""

import base64
import hmac
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from models import (
    AdminConsole,
    ConsoleRole,
    Customer,
    CustomerAccess,
    DelegatedAccess,
    HistoryEvent,
    PortalRole,
    PortalUser,
    SigningKey,
    SignOnKind,
    TwoFactorRule,
)
from models.admin_console import DEMO_ADDRESS, DEMO_AUDIENCE
from models.signing_key import ALGORITHM
from pages import demo_console
from settings import settings

PARTNER = ConsoleRole.PARTNER_ADMINISTRATOR
HERE = {'origin': 'http://test'}
CONSOLE = 'https://console.example:8443'


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    demo_console.seen._until.clear()


@pytest.fixture
async def acme(portal) -> Customer:
    """A customer with the vendor's own console, where Ana holds Partner Administrator."""
    customer = await portal.add(portal.northwind.partner, 'Acme & <Sons>', account_code='ACM001', seats=24)
    await Customer.filter(id=customer.id).update(console_url='https://vendor.example/acme?a=1&b=2')
    await hold(portal.northwind.ana, customer)
    return customer


@pytest.fixture
def demo(monkeypatch) -> None:
    monkeypatch.setenv('PORTAL_DEMO', '1')
    settings.cache_clear()


async def hold(user: PortalUser, customer: Customer, role: str = PARTNER, **more: Any) -> None:
    await DelegatedAccess.create(partner_id=user.partner_id, user=user, customer=customer, role=role, **more)


async def use(customer: Customer, address: str = f'{CONSOLE}/in', audience: str = 'urn:console') -> AdminConsole:
    """Let the customer have a console that takes assertions."""
    console = await AdminConsole.create(
        partner_id=customer.partner_id, name=audience, sign_on=SignOnKind.ASSERTION, address=address, audience=audience
    )
    await Customer.filter(id=customer.id).update(console_id=console.id)
    return console


async def press(portal: Any, who: PortalUser, customer: Customer, **headers: str) -> Any:
    browser = await portal.signed_in(who)
    return await browser.post(f'/customers/{customer.id}/console', headers=HERE | headers)


async def signed_on() -> int:
    return await HistoryEvent.filter(kind='console.signed_on').count()


def assertion_in(answer: Any) -> str:
    return re.findall(r'name="assertion" value="([^"]+)"', answer.text)[0]


# -- the button's act -------------------------------------------------------------------------------------------------


async def test_the_vendors_own_console_is_led_to_and_it_is_in_both_histories(portal, acme):
    answer = await press(portal, portal.northwind.ana, acme)
    assert answer.status_code == 200
    assert 'href="https://vendor.example/acme?a=1&amp;b=2"' in answer.text
    assert 'Acme &amp; &lt;Sons&gt;' in answer.text
    assert answer.headers['cache-control'] == 'no-store'
    assert answer.headers['referrer-policy'] == 'no-referrer'
    assert "form-action 'none'" in answer.headers['content-security-policy']
    assert "'unsafe-inline'" not in answer.headers['content-security-policy']
    for customer_id in (acme.id, None):
        event = await HistoryEvent.get(kind='console.signed_on', customer_id=customer_id)
        text = await event.text()
        assert text is not None
        assert text.actor == 'Ana'
    assert text.summary == 'ana@northwind.example signed on to the Administration Console of Acme & <Sons> (ACM001)'


async def test_a_console_that_takes_assertions_is_posted_one_that_names_it_and_is_good_for_a_minute(portal, acme):
    await use(acme)
    before = int(time.time())
    answer = await press(portal, portal.northwind.ana, acme)
    assert answer.status_code == 200
    assert f'<form method="post" action="{CONSOLE}/in">' in answer.text
    assert f'form-action {CONSOLE};' in answer.headers['content-security-policy']
    assert answer.headers['referrer-policy'] == 'strict-origin'
    jwks = await portal.browser().get('/.well-known/jwks.json')
    assert jwks.headers['cache-control'] == 'public, max-age=300'
    token = jwt.decode(assertion_in(answer), KeySet.import_key_set(jwks.json()), algorithms=[ALGORITHM])
    claims = token.claims
    assert claims['exp'] - claims['iat'] <= 60
    assert before <= claims['iat'] == claims['nbf'] <= time.time()
    assert {name: claims[name] for name in ('iss', 'aud', 'sub', 'name', 'role', 'account', 'msp')} == {
        'iss': 'http://test', 'aud': 'urn:console', 'sub': 'ana@northwind.example', 'name': 'Ana', 'role': PARTNER,
        'account': 'ACM001', 'msp': 'northwind-it',
    }  # fmt: skip
    other = jwt.decode(
        assertion_in(await press(portal, portal.northwind.ana, acme)), KeySet.import_key_set(jwks.json()),
        algorithms=[ALGORITHM],
    )  # fmt: skip
    assert other.claims['jti'] != claims['jti']


async def test_the_public_address_is_the_issuer_where_there_is_one(portal, acme, monkeypatch):
    monkeypatch.setenv('PORTAL_PUBLIC_URL', 'https://portal.northwind.example')
    settings.cache_clear()
    await use(acme)
    browser = portal.browser(
        (await portal.session(portal.northwind.ana))[1], base_url='https://portal.northwind.example'
    )
    browser.cookies.clear()
    token = (await portal.session(portal.northwind.ana))[1]
    answer = await browser.post(
        f'/customers/{acme.id}/console',
        headers={
            'origin': 'https://portal.northwind.example',
            'cookie': f'portal_session={token}; __Host-portal_session={token}',
        },
    )
    keys = KeySet.import_key_set(await SigningKey.published())  # type: ignore[arg-type]
    claims = jwt.decode(assertion_in(answer), keys, algorithms=[ALGORITHM]).claims
    assert claims['iss'] == 'https://portal.northwind.example'


@pytest.mark.parametrize(
    'headers', [{'origin': 'https://evil.example'}, {'origin': 'null'}, {'origin': ''}, {'origin': 'http://test.evil'}]
)
async def test_another_site_cannot_make_a_browser_sign_on(portal, acme, headers):
    assert (await press(portal, portal.northwind.ana, acme, **headers)).status_code == 403
    browser = await portal.signed_in(portal.northwind.ana)
    assert (await browser.post(f'/customers/{acme.id}/console')).status_code == 403
    assert (await browser.get(f'/customers/{acme.id}/console', headers=HERE)).status_code in (404, 405)
    assert await signed_on() == 0


async def test_customers_of_others_and_out_of_sight_are_not_there(portal, acme):
    await hold(portal.fabrikam.eve, acme)  # even so
    assert (await press(portal, portal.fabrikam.eve, acme)).status_code == 404
    await hold(portal.northwind.tom, acme)
    assert (await press(portal, portal.northwind.tom, acme)).status_code == 404
    await CustomerAccess.create(user=portal.northwind.tom, customer=acme, allowed=True)
    assert (await press(portal, portal.northwind.tom, acme)).status_code == 200
    assert await signed_on() == 2


async def test_a_role_that_was_lost_meanwhile_lets_nobody_in_and_says_so(portal, acme):
    ana = portal.northwind.ana
    for change in ({'revoked_at': datetime.now(UTC)}, {'revoked_at': None, 'expires_at': datetime.now(UTC)},
                   {'expires_at': None, 'role': 'Full Administrator'}):  # fmt: skip
        await DelegatedAccess.filter(user=ana).update(**change)
        answer = await press(portal, ana, acme)
        assert answer.status_code == 409
        assert 'signing on needs Partner Administrator' in answer.text
    assert await signed_on() == 0


@pytest.mark.parametrize('role', [PortalRole.SALES, PortalRole.FINANCE, PortalRole.READ_ONLY])
async def test_the_role_in_the_portal_counts_as_well(portal, acme, role):
    await PortalUser.filter(id=portal.northwind.ana.id).update(role=role)
    assert (await press(portal, portal.northwind.ana, acme)).status_code == 403
    assert await signed_on() == 0


async def button(browser: Any, customer: Customer) -> tuple[Any, Any]:
    """What the Admin Console button is, in the list and on the page of the customer."""
    listed = (await browser.get('/api/ui/tables/complete/rows')).json()['rows']
    page = (await browser.get(f'/api/ui/customers/{customer.id}/parts?want=head')).json()
    return next(row['console'] for row in listed if row['id'] == customer.id), page['head']['console']


@pytest.mark.parametrize('rule', [TwoFactorRule.CONSOLE, TwoFactorRule.EVERYONE])
async def test_an_msp_that_wants_two_factor_for_consoles_gets_it(portal, acme, rule):
    ana, partner = portal.northwind.ana, portal.northwind.partner
    partner.two_factor = rule
    await partner.save()
    await Customer.filter(id=acme.id).update(listing='complete')
    browser = await portal.signed_in(ana)
    if rule == TwoFactorRule.CONSOLE:
        first = {'why': 'Turn on two-factor in your account first: your MSP wants it for signing on to consoles.'}
        assert await button(browser, acme) == (first, first)
    answer = await press(portal, ana, acme)
    if rule == TwoFactorRule.CONSOLE:
        assert answer.status_code == 409
        assert 'two-factor' in answer.text
        assert '<a class="button primary" href="/account">' in answer.text
    assert await signed_on() == 0
    await PortalUser.filter(id=ana.id).update(totp_key='s1.something', totp_since=datetime.now(UTC))
    assert (await press(portal, ana, acme)).status_code == 200
    door = {'url': f'/customers/{acme.id}/console'}
    assert await button(await portal.signed_in(ana), acme) == (door, door)


@pytest.mark.parametrize(
    'url',
    [
        '',
        'http://vendor.example/',
        'javascript:alert(1)',
        'https://',
        'https://a@vendor.example/',
        'https://[',
        'https://x/;',
    ],
)
async def test_an_address_that_is_none_is_led_to_by_nobody(portal, acme, url):
    await Customer.filter(id=acme.id).update(console_url=url)
    answer = await press(portal, portal.northwind.ana, acme)
    assert answer.status_code == 409
    assert 'is not known' in answer.text
    assert not url or url not in answer.text
    assert await signed_on() == 0


async def test_a_key_that_cannot_be_opened_is_said_and_nothing_is_written_down(portal, acme, monkeypatch):
    await use(acme)
    assert (await press(portal, portal.northwind.ana, acme)).status_code == 200
    await SigningKey.all().update(private='s1.nonsense')
    answer = await press(portal, portal.northwind.ana, acme)
    assert answer.status_code == 409
    assert 'rotate-keys' in answer.text
    assert await signed_on() == 2
    await SigningKey.rotate()
    assert (await press(portal, portal.northwind.ana, acme)).status_code == 200


# -- what the demo's console believes ---------------------------------------------------------------------------------


async def show(portal: Any, assertion: str) -> Any:
    """Post an assertion to the demo's console, as the portal's page does."""
    return await portal.browser().post(
        DEMO_ADDRESS, content=urlencode({'assertion': assertion}),
        headers=HERE | {'content-type': 'application/x-www-form-urlencoded'},
    )  # fmt: skip


def claims(**other: Any) -> dict[str, Any]:
    now = int(time.time())
    good = {
        'iss': 'http://test', 'aud': DEMO_AUDIENCE, 'sub': 'ana@northwind.example', 'name': 'Ana', 'role': PARTNER,
        'account': 'ACM001', 'account_name': 'Acme', 'msp': 'northwind-it', 'iat': now, 'nbf': now, 'exp': now + 60,
        'jti': f'jti-{time.monotonic_ns()}',
    }  # fmt: skip
    return {name: value for name, value in (good | other).items() if value is not None}


@pytest.fixture
async def signed(portal, acme, demo):
    """Signs claims with the portal's own key."""
    key = await SigningKey.current()
    return lambda **other: key.sign(claims(**other))


async def test_the_demo_console_lets_somebody_in_once(portal, acme, demo):
    await use(acme, DEMO_ADDRESS, DEMO_AUDIENCE)
    answer = await press(portal, portal.northwind.ana, acme)
    assert f'action="http://test{DEMO_ADDRESS}"' in answer.text
    inside = await show(portal, assertion_in(answer))
    assert inside.status_code == 200
    assert 'Acme &amp; &lt;Sons&gt;' in inside.text
    assert 'ana@northwind.example' in inside.text
    again = await show(portal, assertion_in(answer))
    assert again.status_code == 403
    assert 'used before' in again.text
    assert 'Acme' not in again.text


@pytest.mark.parametrize(
    ('other', 'why'),
    [
        ({'aud': 'urn:another'}, 'another console'),
        ({'aud': None}, 'another console'),
        ({'iss': 'http://elsewhere'}, 'another portal'),
        ({'iat': 0, 'nbf': 0, 'exp': 1}, 'expired'),
        ({'exp': None}, 'expired'),
        ({'nbf': 4_000_000_000}, 'not valid yet'),
        ({'iat': 4_000_000_000}, 'in the future'),
        ({'exp': 4_000_000_000}, 'more than 120 seconds'),
        ({'role': 'Reviewer'}, 'does not allow'),
        ({'jti': None}, 'not right'),
        ({'sub': None}, 'not right'),
        ({'account': 'NONE'}, 'no account NONE'),
        ({'msp': 'fabrikam'}, 'no account ACM001'),
    ],
)
async def test_the_demo_console_refuses_what_a_real_one_would(portal, signed, other, why):
    answer = await show(portal, signed(**other))
    assert answer.status_code == 403
    assert why in answer.text


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip('=')


async def test_the_demo_console_believes_no_other_key_and_no_other_algorithm(portal, signed):
    kid = (await SigningKey.current()).kid
    other = ECKey.generate_key('P-256', {'kid': kid})
    header = {'alg': ALGORITHM, 'kid': kid}
    forged = jwt.encode(header, claims(), other, algorithms=[ALGORITHM])
    # The public key taken for a shared secret.
    secret = ECKey.import_key((await SigningKey.current()).public).as_pem(private=False)
    said = '.'.join(_encoded(orjson.dumps(part)) for part in ({'alg': 'HS256', 'kid': kid}, claims()))
    confused = f'{said}.{_encoded(hmac.digest(secret, said.encode(), "sha256"))}'
    head, body, signature = signed().split('.')
    none = 'eyJhbGciOiJub25lIn0.' + body + '.'
    changed = f'{head}.{body[:-3]}{"AAA" if body[-3:] != "AAA" else "BBB"}.{signature}'
    unknown = jwt.encode({'alg': ALGORITHM, 'kid': 'other'}, claims(), other, algorithms=[ALGORITHM])
    for token in (forged, confused, none, changed, unknown, 'a.b.c', '', 'é', 'x' * 9000, f'{head}.{body}.'):
        answer = await show(portal, token)
        assert answer.status_code == 403, token
        assert 'lets nobody in' in answer.text
    assert (await show(portal, signed())).status_code == 200


async def test_what_was_refused_for_something_else_is_not_used_up(portal, signed):
    assertion = signed(jti='one')
    assert (await show(portal, signed(jti='one', aud='urn:another'))).status_code == 403
    assert (await show(portal, assertion)).status_code == 200


async def test_the_memory_of_the_demo_console_is_bounded_and_nobody_gets_in_when_it_is_full(
    portal, signed, monkeypatch
):
    monkeypatch.setattr(demo_console, 'REMEMBERED', 2)
    demo_console.seen._until.update({'old': time.time() - 1, 'new': time.time() + 50})
    assert (await show(portal, signed())).status_code == 200
    full = await show(portal, signed())
    assert full.status_code == 403
    assert 'Too many' in full.text
    assert 'old' not in demo_console.seen._until


async def test_the_demo_console_says_what_it_is_and_is_there_in_the_demo_only(portal, demo, monkeypatch):
    stranger = portal.browser()
    answer = await stranger.get(DEMO_ADDRESS)
    assert answer.status_code == 200
    assert DEMO_AUDIENCE in answer.text
    assert (await stranger.post(DEMO_ADDRESS, headers={'origin': 'https://evil.example'})).status_code == 403
    monkeypatch.setenv('PORTAL_DEMO', '0')
    settings.cache_clear()
    assert (await stranger.get(DEMO_ADDRESS)).status_code == 404
    assert (await show(portal, 'x')).status_code == 404


# -- roles and consoles as the pages ask for them ---------------------------------------------------------------------


async def test_a_dialog_is_told_who_holds_what_and_who_can_grant(portal, acme):
    ana, tom = portal.northwind.ana, portal.northwind.tom
    browser = await portal.signed_in(ana)
    found = (await browser.get(f'/api/ui/customers/{acme.id}/access')).json()
    assert [(one['name'], one['role']) for one in found['holders']] == [('Ana', PARTNER)]
    assert (found['may'], found['generic'], found['granters']) == (True, False, ['Ana'])
    assert [one['email'] for one in found['people']] == [ana.email, tom.email]
    until = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    answer = await browser.post(f'/api/ui/customers/{acme.id}/access', json={'user': tom.id, 'expires_at': until})
    assert answer.json()['said'] == 'Tom holds Partner Administrator at 1 customer now.'
    answer = await browser.post(f'/api/ui/customers/{acme.id}/access/revoke', json={'user': tom.id})
    assert answer.json()['changed'] == 1


async def test_people_of_another_msp_can_be_given_and_asked_nothing(portal, acme):
    browser = await portal.signed_in(portal.northwind.ana)
    eve = portal.fabrikam.eve
    for path in (f'/api/ui/customers/{acme.id}/access', f'/api/ui/customers/{acme.id}/access/revoke'):
        assert (await browser.post(path, json={'user': eve.id})).status_code == 404
    assert (await browser.get(f'/api/ui/access/{eve.id}/customers')).status_code == 404
    theirs = await portal.signed_in(eve)
    assert (await theirs.get(f'/api/ui/customers/{acme.id}/access')).status_code == 404
    body = {'user': eve.id, 'customers': [acme.id], 'generic': True, 'reason': 'x'}
    assert (await theirs.post('/api/ui/access/grant', json=body)).status_code == 404


async def test_a_person_is_shown_over_many_customers_with_search_pages_and_what_is_held(portal, acme):
    ana, tom = portal.northwind.ana, portal.northwind.tom
    others = [await portal.add(portal.northwind.partner, f'Other {n:03}') for n in range(3)]
    await hold(tom, others[0])
    browser = await portal.signed_in(ana)

    async def ask(**asked: Any) -> dict[str, Any]:
        return (await browser.get(f'/api/ui/access/{tom.id}/customers', params=asked)).json()

    found = await ask()
    assert found['total'] == 4
    assert [(row['name'], row['role'], row['mine']) for row in found['rows'][:2]] == [
        (acme.name, 'None', True), ('Other 000', PARTNER, False)
    ]  # fmt: skip
    assert [row['name'] for row in (await ask(start=2))['rows']] == ['Other 001', 'Other 002']
    assert [row['name'] for row in (await ask(show='held'))['rows']] == ['Other 000']
    assert (await ask(show='free'))['total'] == 3
    assert (await ask(q='oTHER', ids=1)) == {'ids': [other.id for other in others]}
    assert (await browser.get(f'/api/ui/access/{tom.id}/customers?show=x')).status_code == 422
    answer = await browser.post('/api/ui/access/grant', json={'user': tom.id, 'customers': [acme.id, others[1].id]})
    assert answer.status_code == 409
    assert 'Other 001' in answer.json()['error']
    assert await DelegatedAccess.filter(user=tom).count() == 1


@pytest.mark.parametrize('body', [{'customers': 'all'}, {'customers': [1.5]}, {'customers': list(range(1001))}, {}])
async def test_what_is_no_list_of_customers_is_refused(portal, acme, body):
    browser = await portal.signed_in(portal.northwind.ana)
    answer = await browser.post('/api/ui/access/grant', json={'user': portal.northwind.tom.id, **body})
    assert answer.status_code == 422


async def test_consoles_are_added_chosen_changed_and_removed_by_who_may(portal, acme):
    browser = await portal.signed_in(portal.northwind.ana)
    facts = {'name': 'Vendor EU', 'sign_on': 'assertion', 'address': f'{CONSOLE}/in', 'audience': 'urn:eu'}
    made = await browser.post('/api/ui/consoles', json={'facts': facts})
    console_id = made.json()['id']
    again = await browser.post('/api/ui/consoles', json={'facts': facts})
    assert (again.status_code, again.json()['field']) == (422, 'name')
    for field, value in (('address', 'http://console.example'), ('address', "https://a'b"), ('audience', ''),
                         ('name', ''), ('sign_on', 'magic')):  # fmt: skip
        wrong = await browser.post(f'/api/ui/consoles/{console_id}', json={'facts': facts | {field: value}})
        assert (wrong.status_code, wrong.json()['field']) == (422, field)
    chosen = await browser.post(f'/api/ui/customers/{acme.id}/access/console', json={'console': console_id})
    assert chosen.json() == {'console': console_id}
    (told,) = (await browser.get('/api/ui/consoles')).json()['consoles']
    assert (told['name'], told['customers']) == ('Vendor EU', 1)
    theirs = await portal.signed_in(portal.fabrikam.eve)
    for path in (f'/api/ui/consoles/{console_id}', f'/api/ui/consoles/{console_id}/remove'):
        assert (await theirs.post(path, json={'facts': facts})).status_code == 404
    eves = await portal.add(portal.fabrikam.partner, 'Eve’s')
    path = f'/api/ui/customers/{eves.id}/access/console'
    assert (await theirs.post(path, json={'console': console_id})).status_code == 404
    assert (await browser.post(f'/api/ui/consoles/{console_id}/remove', json={})).status_code == 200
    assert (await Customer.get(id=acme.id)).console_id is None
    kinds = await HistoryEvent.filter(kind__startswith='console.').order_by('id').values_list('kind', flat=True)
    assert kinds == ['console.added', 'console.chosen', 'console.removed']


async def test_an_administrator_with_no_role_is_offered_to_take_it_everywhere(portal):
    from models import Partner

    partner = await Partner.set_up('Contoso', domain='contoso.example')
    cat = PortalUser(partner=partner, email='cat@contoso.example', role=PortalRole.ADMINISTRATOR)
    cat.set_name('Cat')
    await cat.save()
    browser = await portal.signed_in(cat)
    assert (await browser.get('/api/ui/access/begin')).json() == {'begin': False}  # nobody to hold it at
    customer = await portal.add(partner, 'First')
    assert (await browser.get('/api/ui/access/begin')).json() == {'begin': True}
    assert (await browser.post('/api/ui/access/begin', json={'reason': ''})).json()['field'] == 'reason'
    answer = await browser.post('/api/ui/access/begin', json={'reason': 'set-up'})
    assert answer.json()['said'] == 'You hold Partner Administrator at 1 customer now.'
    assert (await browser.get('/api/ui/access/begin')).json() == {'begin': False}
    assert await DelegatedAccess.roles_of(cat, [customer.id]) == {customer.id: PARTNER}
    tom = await portal.signed_in(portal.northwind.tom)
    assert (await tom.get('/api/ui/access/begin')).json() == {'begin': False}


async def test_the_page_of_roles_is_there_for_administrators_only(portal, acme):
    await portal.sign_in(portal.northwind.ana)
    await portal.user.open('/access')
    assert portal.config()['me'] == portal.northwind.ana.id
    browser = await portal.signed_in(portal.northwind.tom)
    assert (await browser.get('/access')).status_code == 404
    for path in ('/api/ui/access', f'/api/ui/access/{portal.northwind.ana.id}/customers', '/api/ui/consoles'):
        assert (await browser.get(path)).status_code == 403


# -- the button in lists ----------------------------------------------------------------------------------------------


async def test_a_list_says_who_can_grant_with_the_same_few_questions_for_any_number_of_rows(portal, acme, monkeypatch):
    from tortoise.backends.sqlite.client import SqliteClient

    tom, partner = portal.northwind.tom, portal.northwind.partner
    await PortalUser.filter(id=tom.id).update(sees_all=True)
    browser = await portal.signed_in(tom)
    asked: list[str] = []
    execute = SqliteClient.execute_query_dict

    async def counted(self: Any, query: str, values: Any = None) -> Any:
        asked.append(query)
        return await execute(self, query, values)

    monkeypatch.setattr(SqliteClient, 'execute_query_dict', counted)

    async def why(sort: str = 'name') -> list[str]:
        rows = (await browser.get(f'/api/ui/tables/in-progress/rows?sort={sort}')).json()['rows']
        return [row['console'].get('why', '') for row in rows]

    assert (await why())[0].endswith('you have none here. Ana can grant it.')
    few = len(asked)
    for n in range(12):
        await portal.add(partner, f'More {n}')
    asked.clear()
    found = await why('account_code')  # asked anew: the same question is answered from a moment ago
    assert len(found) == 13
    assert 0 < len(asked) <= few
    how = 'can grant it by the generic administration account.'
    assert found[-1].endswith(f'No administrator holds it here: an administrator {how}')
    administrator = await portal.signed_in(portal.northwind.ana)
    theirs = (await administrator.get('/api/ui/tables/in-progress/rows?sort=account_code')).json()['rows']
    assert theirs[-1]['console']['why'].endswith(f'No administrator holds it here: you {how}')

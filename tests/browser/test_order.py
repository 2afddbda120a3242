"""The order form: fees while somebody types, drafts that outlive a reload, two people at once, and the new customer."""

import re

import pytest
from playwright.sync_api import APIResponse, Page, Route, expect

from tests.browser.conftest import List, Visitors, once
from tests.browser.portal import Portal
from tests.browser.test_pages import serious

pytestmark = pytest.mark.browser
NAME = 'Lindgren <b>Optik</b>'
_PROSPECT = f"""
    from models import Prospect, ProspectState

    northwind = await Partner.get(slug='northwind-it')
    mail = {{'smtp_host': '127.0.0.1', 'smtp_port': 9, 'mail_from': 'portal@northwind.example'}}
    await Partner.filter(id=northwind.id).update(**mail)
    prospect = Prospect(
        partner=northwind, domain='lindgren.example', seats=40, products=['SEC'], state=ProspectState.OPEN,
        lead_last_name='Ivers', lead_email='lena@lindgren.example',
    )
    prospect.set_name({NAME!r})
    await prospect.save()
    return prospect.id
"""


def _first_payment(page: Page, amount: str) -> None:
    expect(page.locator('dd.is-first')).to_have_text(amount)


def _is_sent(route: Route) -> bool:
    return route.request.method == 'POST'


def test_an_order_from_the_first_price_to_the_new_customer(visitors: Visitors, portal: Portal) -> None:
    visitors.expect_trouble('409', '422')
    address = f'/prospects/{portal.aside(_PROSPECT)}/order'
    ana, other = visitors.page('ana', address), visitors.page('ana', address)
    expect(ana.get_by_role('heading', level=1)).to_have_text(f'Order for {NAME}')
    _first_payment(ana, 'EUR\u00a0224.00')  # 40 × 2.60, and 120 once

    # A price that somebody sets, on the form that is open; and what goes together.
    prices = visitors.page('ana', '/settings/prices')
    prices.get_by_role('button', name='Edit Email Security', exact=True).click()
    prices.get_by_label('Price a licence (EUR)').fill('2.65')
    prices.get_by_role('dialog').get_by_role('button', name='Save').click()
    expect(prices.get_by_role('row', name=re.compile('Email Security Sample'))).to_contain_text('2.65')
    _first_payment(ana, 'EUR\u00a0226.00')
    ana.get_by_label('Internal email protection IEP').check()
    expect(ana.get_by_text('Internal email protection needs')).to_be_visible()
    ana.get_by_label('Internal email protection IEP').uncheck()
    ana.get_by_label('URL protection TTP-URL').check()
    ana.get_by_label('Licences of URL protection, if not all').fill('10')
    _first_payment(ana, 'EUR\u00a0235.00')

    # Whoever goes elsewhere while it is being saved is not fetched away from there.
    held: list[Route] = []
    leaver = visitors.page('ana', address)
    leaver.route(f'**/api/ui{address}', lambda route: held.append(route) if _is_sent(route) else route.continue_())
    leaver.get_by_role('button', name='Save and exit').click()
    once(leaver, lambda: held)
    leaver.locator('#menu a[href="/help"]').evaluate('link => link.click()')
    leaver.locator('.order').wait_for(state='detached')
    held.pop().fulfill(json={'now': leaver.request.get(f'{portal.address}/api/ui{address}').json()})
    leaver.wait_for_function('new Promise((done) => setTimeout(() => done(true), 300))')
    expect(leaver).to_have_url(re.compile('/help$'))
    leaver.close()

    # What is typed outlives a reload; what lacks is said beside its field.
    ana.get_by_label('Licences', exact=True).fill('50')
    ana.reload()
    expect(ana.get_by_label('Licences', exact=True)).to_have_value('50')
    expect(ana.get_by_text('What you had typed before is still here.')).to_be_visible()
    expect(ana.get_by_label('URL protection TTP-URL')).to_be_checked()
    ana.get_by_role('button', name='Review order').click()
    expect(ana.get_by_label('Order (PO) number')).to_be_focused()
    expect(ana.get_by_text('Order (PO) number is empty; tick that none is required if that is so.')).to_be_visible()

    # That saved it. The other one sees it at once, and what they typed over is told and not lost.
    expect(other.get_by_label('Licences', exact=True)).to_have_value('50')
    other.get_by_label('Licences', exact=True).fill('60')
    # An answer that was read before that is saved, and comes after it, takes nobody out of the review.
    old: list[tuple[Route, APIResponse]] = []
    ana.route(f'**/api/ui{address}', lambda route: old.append((route, route.fetch())), times=1)
    told = other.request.post(
        f'{portal.address}/api/ui{address.removesuffix("/order")}',
        data={'facts': {'remarks': 'Rings back'}}, headers={'Origin': portal.address},
    )  # fmt: skip
    assert told.ok
    once(ana, lambda: old)
    ana.get_by_label('Licences', exact=True).fill('70')
    ana.get_by_label('An order number is not required').check()
    ana.get_by_role('button', name='Review order').click()
    expect(ana.get_by_role('heading', name='Review the order')).to_be_focused()
    ana.set_viewport_size({'width': 390, 'height': 844})
    once(ana, lambda: ana.locator('#page').evaluate('page => page.scrollWidth - page.clientWidth') == 0)
    ana.set_viewport_size({'width': 1440, 'height': 900})
    with ana.expect_response(f'**/api/ui{address}'):  # asked for anew once the old one is there
        old[0][0].fulfill(response=old[0][1])
    expect(ana.get_by_role('heading', name='Review the order')).to_be_visible()
    expect(other.get_by_text('has saved “70” here meanwhile')).to_be_visible()
    expect(other.get_by_label('Licences', exact=True)).to_have_value('60')
    other.get_by_role('button', name='Save and exit').click()
    other.wait_for_url('**/prospects')
    expect(ana.get_by_text('has changed the order while you reviewed it')).to_be_visible()
    expect(ana.get_by_label('Licences', exact=True)).to_have_value('60')
    troubles = serious(ana, 'the form') + serious(prices, 'the prices')

    # Both ticks, pressed twice: one customer, on the lists of others without reloading.
    ana.get_by_role('button', name='Review order').click()
    expect(ana.get_by_label('Products and fees')).to_contain_text('159.00')
    troubles += serious(ana, 'the review')
    ana.get_by_role('button', name='Submit order').click()
    expect(ana.get_by_text('Tick this to submit the order.')).to_have_count(2)
    ana.get_by_label('This order is governed by the Master Service Provider Agreement.').check()
    ana.get_by_label('I am authorised to place this order.').check()
    waiting = List(visitors.page('ana', '/customers/waiting'))
    assert NAME not in waiting.names()
    watching = visitors.page('ana', address)
    expect(watching.get_by_role('button', name='Review order')).to_be_visible()
    # Twice in one go: the second press of a slow driver would meet what is in this place on the page after it.
    ana.get_by_role('button', name='Submit order').evaluate('button => { button.click(); button.click(); }')
    ana.wait_for_url(re.compile(r'/customers/\d+#orders$'))
    orders = ana.locator('section#orders')
    expect(orders.get_by_role('status')).to_contain_text(re.compile(r'ORD-\d+ was submitted: .* by e-mail'))
    expect(orders.locator('.fold-head')).to_be_focused()
    expect(ana.get_by_role('heading', level=1)).to_have_text(NAME)
    expect(ana.get_by_text('Converted from a prospect to an order').first).to_be_visible()
    expect(watching.get_by_text(f'{NAME} is a customer now.')).to_be_visible()
    expect(waiting.page.locator('.ag-row', has_text=NAME)).to_have_count(1)
    assert portal.aside(f'return await Customer.filter(name={NAME!r}).count()') == 1

    # The number was not right: it is corrected before the vendor accepts, with a new document.
    ana.get_by_role('button', name=re.compile('Correct: ORD')).click()
    dialog = ana.get_by_role('dialog')
    dialog.get_by_label('Implementation lead: e-mail').fill('lena')
    dialog.get_by_role('button', name='Correct and deliver').click()
    expect(dialog.get_by_text('is not an e-mail address')).to_be_visible()
    dialog.get_by_label('Implementation lead: e-mail').fill('ivers@lindgren.example')
    dialog.get_by_label('Order (PO) number').fill('PO 9')
    dialog.get_by_role('button', name='Correct and deliver').click()
    expect(ana.locator('.orders-gist')).to_contain_text('order number PO 9')
    expect(ana.get_by_text('not required → PO 9').first).to_be_visible()
    assert not troubles, '\n'.join(troubles)

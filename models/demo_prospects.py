"""The prospects of the demo MSPs: one ready to be ordered, drafts, one that was lost."""

from datetime import UTC, datetime, timedelta
from typing import Any

from models import order_form
from models.history import HistoryEvent
from models.order import Order
from models.ordering import SAVED_BY
from models.partner import Partner
from models.price import Price
from models.product import load_catalogue
from models.prospect import CompanyType, Prospect, ProspectState, Sector
from models.user import PortalUser

_MICROSOFT = {'mx': ['{}.mail.protection.outlook.com'], 'spf': ['v=spf1 include:spf.protection.outlook.com -all']}
_GOOGLE = {'mx': ['smtp.google.com'], 'spf': ['v=spf1 include:_spf.google.com ~all']}
_OWN = {'mx': ['mail.{}', 'mail2.{}'], 'spf': []}
_GONE = {'mx': [], 'spf': [], 'error': 'There is no domain {}.', 'exists': False}

# What is known of each; days since it was added and since it was changed, what DNS said, and why it was lost.
_PROSPECTS: dict[str, tuple[tuple[dict[str, Any], float, float, dict[str, Any] | None, str], ...]] = {
    'Northwind IT': (
        ({
            'name': 'Larkspur Veterinary Group', 'company_type': CompanyType.PRIVATE, 'sector': Sector.HEALTH,
            'domain': 'larkspur-vets.example', 'website': 'https://www.larkspur-vets.example', 'seats': 85,
            'address': 'Larkspur Veterinary Group\n14 Mill Lane\nHebden Bridge HX7 8AD\nUnited Kingdom',
            'phone': '+441422496001', 'products': ['SEC+ARC', 'TTP-URL', 'IMP'], 'lead_first_name': 'Priya',
            'lead_last_name': 'Raman', 'lead_email': 'priya.raman@larkspur-vets.example', 'lead_phone': '+447700900412',
            'remarks': 'Moves off an old appliance at the end of the quarter. Wants URL protection from the first day.',
        }, 21, 1.2, _MICROSOFT, ''),
        ({
            'name': 'Ørsted & Berg Arkitekter', 'company_type': CompanyType.PARTNERSHIP,
            'sector': Sector.PROFESSIONAL, 'domain': 'orsted-berg.example', 'seats': 38, 'products': ['SEC', 'DMARC'],
            'website': 'https://orsted-berg.example', 'lead_first_name': 'Mikkel', 'lead_last_name': 'Berg',
            'lead_email': 'mikkel@orsted-berg.example', 'remarks': 'Asked for a quote with and without DMARC.',
        }, 9, 3.4, _GOOGLE, ''),
        ({
            'name': 'Copperfield Community College', 'company_type': CompanyType.EDUCATION,
            'sector': Sector.EDUCATION, 'domain': 'copperfield-college.example', 'seats': 1150,
            'products': ['UEM', 'SAT'], 'lead_first_name': 'Dolores', 'lead_last_name': 'Haas',
            'lead_email': 'dhaas@copperfield-college.example', 'lead_phone': '+441632960188',
            'remarks': 'The board decides in December.',
        }, 34, 6.1, _OWN, ''),
        ({
            'name': 'Bianchi Ceramiche', 'company_type': CompanyType.PRIVATE, 'sector': Sector.MANUFACTURING,
            'domain': 'bianchi-ceramiche.example', 'seats': 60, 'products': ['SEC'],
            'remarks': 'Met at the fair. Who will look after it there is not decided yet.',
        }, 4, 4, None, ''),
        ({'name': 'Whitby Harbour Trust', 'sector': Sector.TRANSPORT, 'remarks': 'Rang on Monday, ring back.'},
         0.3, 0.3, None, ''),
        ({
            'name': 'Stonebridge Recruitment', 'company_type': CompanyType.PRIVATE, 'sector': Sector.PROFESSIONAL,
            'domain': 'stonebridge-hr.example', 'seats': 45, 'products': ['SEC+ARC'], 'lead_first_name': 'Owen',
            'lead_last_name': 'Pryce', 'lead_email': 'owen@stonebridge-hr.example',
        }, 70, 16, _GONE, 'Was bought, and uses what its new owner has'),
    ),
    'Fabrikam Managed Services': (
        ({
            'name': 'Nieuwpoort Rederij', 'company_type': CompanyType.PRIVATE, 'sector': Sector.TRANSPORT,
            'domain': 'nieuwpoort-rederij.example', 'seats': 130, 'products': ['SEC', 'TTP-ATT'],
            'lead_first_name': 'Lotte', 'lead_last_name': 'de Wit', 'lead_email': 'lotte@nieuwpoort-rederij.example',
        }, 12, 2.5, _MICROSOFT, ''),
        ({'name': 'Atelier Girard', 'domain': 'atelier-girard.example', 'seats': 9, 'products': ['SEC']},
         2, 2, None, ''),
    ),
}  # fmt: skip


# Whose order was saved, days ago, and what its form says beside what is known of the prospect.
_ORDERED = {
    'Larkspur Veterinary Group': (1.1, {
        'mail_server': 'microsoft_365', 'archive_solution': 'MailStore', 'security_msp': 'Barracuda',
        'security_onprem': 'Sophos', 'continuity': 'None', 'po_number': 'LVG-2207',
    }),
}  # fmt: skip


async def load_prospects() -> None:
    """Give the demo MSPs their prospects, added by their first administrator; belongs in their transaction."""
    now = datetime.now(UTC)
    for partner in await Partner.filter(name__in=list(_PROSPECTS)).order_by('id'):
        by = await PortalUser.filter(partner_id=partner.id, can_sign_in=True).order_by('id').first()
        assert by is not None
        for facts, added, changed, found, because in _PROSPECTS[partner.name]:
            await _load(partner, by, facts, now - timedelta(days=added), now - timedelta(days=changed), found, because)


async def _load(
    partner: Partner, by: PortalUser, facts: dict[str, Any], added: datetime, changed: datetime,
    found: dict[str, Any] | None, because: str,
) -> None:  # fmt: skip
    made = Prospect(
        partner=partner, created_by_id=by.id, created_by=by.name, created_at=added, changed_at=changed,
        lost_because=because, **Prospect.check(**facts),
    )  # fmt: skip
    made.set_name(made.name)
    if found is not None:
        made.domain_checked_at, made.domain_found = added, _of(found, made.domain)
    made.state = ProspectState.LOST if because else ProspectState.DRAFT if made.missing else ProspectState.OPEN
    await made.save()
    kept = {'by': by, 'prospect': made.id}
    await HistoryEvent.add(partner.id, 'prospect.created', f'{made.name} was added as a prospect', at=added, **kept)
    if because:
        said = f'{made.name} was lost – {because}'
        await HistoryEvent.add(partner.id, 'prospect.lost', said, at=changed, because=because, **kept)
    elif changed > added:
        said = f'{made.name}: Licences: {max(1, made.seats - 10)} → {made.seats}'
        await HistoryEvent.add(partner.id, 'prospect.updated', said, at=changed, **kept)
    if made.name in _ORDERED:
        await _save_order(partner, made, by)


async def _save_order(partner: Partner, prospect: Prospect, by: PortalUser) -> None:
    """The order that is being prepared for it, ready to be reviewed."""
    days, given = _ORDERED[prospect.name]
    at = datetime.now(UTC) - timedelta(days=days)
    catalogue = await load_catalogue(partner.id)
    codes = {product.id: code for code, product in catalogue.items()}
    prices = {codes[price.product_id]: price for price in await Price.filter(partner_id=partner.id)}
    facts = order_form.clean({**order_form.empty_for(prospect), **given})
    found = order_form.judged(facts, catalogue, prices, partner.currency)
    order = Order(
        partner_id=partner.id, prospect_id=prospect.id, created_by_id=by.id, created_by=by.name, created_at=at,
        changed_at=at,
    )  # fmt: skip
    order_form.put(order, facts)
    order.lines, order.fees, order.currency = found.lines_data, found.fees.as_data(), found.fees.currency
    order.details = {**order.details, SAVED_BY: by.name}
    await order.save()
    said = f'{order.number} for {prospect.name} was saved: {order.seats} licences of {", ".join(order.products)}'
    await HistoryEvent.add(
        partner.id, 'order.saved', said, at=at, by=by, order=order.id, prospect=prospect.id, version=order.version
    )


def _of(found: dict[str, Any], domain: str) -> dict[str, Any]:
    """What DNS would have said: the addresses are made up, and nobody was asked."""
    mx = [host.format(domain.replace('.', '-') if 'outlook' in host else domain) for host in found['mx']]
    error = found.get('error', '').format(domain)
    return {'mx': mx, 'spf': list(found['spf']), 'error': error, 'exists': found.get('exists', True)}

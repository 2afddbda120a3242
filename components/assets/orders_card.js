// The card “Orders”: every order of a customer with what the portal records and what the vendor was told and said, as two
// facts beside each other, and what a person can record.
import { h, inZone, number, parseTime, when } from './live.js';
import { shape, stateIcon } from './icons.js';
import { openForm, send } from './dialog.js';
import { withdrawOrder } from './upgrade.js';

const day = (text) => new Date(parseTime(String(text))).toLocaleDateString('en-GB', { dateStyle: 'medium', timeZone: 'UTC' });
const icon = ([drawn, tone, word]) => stateIcon({ shape: drawn, tone, word });

// Name and quantity of each product; what a change takes away (negative) and gives of the same one is told together.
function productsOf({ products }) {
  const of = new Map();
  for (const [name, code, quantity] of products) {
    const one = of.get(code) || { name: name || code, was: 0, now: 0 };
    of.set(code, quantity < 0 ? { ...one, was: one.was - quantity } : { ...one, now: one.now + quantity });
  }
  return [...of.values()].map(({ name, was, now }) => [name, was && now ? `× ${number(was)} → ${number(now)}` : was ? `× ${number(was)} goes` : `× ${number(now)}`]);
}

export class OrdersBody {
  constructor(page, box) {
    this.page = page;
    this.list = h('ol', { class: 'orders' });
    box.append(this.list);
  }

  show(content) {
    this.content = content;
    this.list.replaceChildren(...(content.rows.length ? content.rows.map((row) => this.item(row)) : [h('li', { class: 'calm' }, 'Nothing was ordered for this customer in the portal.')]));
  }

  item(row) {
    const { page } = this;
    const seats = row.was_seats != null && row.was_seats !== row.seats ? `${number(row.was_seats)} → ${number(row.seats)} licences` : row.seats ? `${number(row.seats)} ${row.seats === 1 ? 'licence' : 'licences'}` : '';
    const gist = [seats, row.effective_on && `effective ${day(row.effective_on)}`, row.kind !== 'cancel' && row.po && `order number ${row.po}`, row.about, row.withdraw_until && `can be withdrawn until ${day(row.withdraw_until)}`].filter(Boolean).join(' · ');
    const pdf = row.document && h('a', { class: 'orders-pdf', href: `${page.address}/attachments/${row.document}.pdf`, target: '_blank', rel: 'noopener', 'data-keep': `order pdf ${row.id}`, 'aria-label': `${row.number} as PDF` }, shape('file'), 'PDF');
    const acts = this.acts(row);
    return h('li', { class: 'orders-one', 'data-order': row.id },
      h('div', { class: 'orders-head' }, h('h3', {}, row.title, ' ', h('span', { class: 'mono' }, row.number)), pdf),
      gist && h('p', { class: 'orders-gist' }, gist),
      row.products.length > 0 && h('p', { class: 'orders-products' }, ...productsOf(row).flatMap(([name, quantity], index) => [index ? ', ' : '', h('span', { class: 'orders-product' }, name, ' ', h('span', { class: 'quiet' }, quantity))])),
      row.fees?.length > 0 && h('dl', { class: 'orders-fees' }, ...row.fees.map(([label, amount]) => h('div', {}, h('dt', {}, label), h('dd', {}, `${row.currency}\u00a0${amount}`)))),
      h('dl', { class: 'orders-facts' },
        h('div', {}, h('dt', {}, 'In the portal'), h('dd', {}, h('p', { class: 'state-line' }, icon(row.state_mark), h('b', {}, row.state_title)), ...this.portalSide(row))),
        h('div', {}, h('dt', {}, 'The vendor'), h('dd', {}, h('p', { class: 'state-line' }, icon(row.vendor_mark), h('b', {}, row.vendor_title)), ...this.vendorSide(row)))),
      row.wants_export && h('p', { class: row.export_is_late ? 'notice bad' : 'notice' }, row.export_is_late && shape('bad'), h('span', {}, h('b', {}, 'Data export required. '), `${row.export_is_late ? `It was due on ${day(row.effective_on)}: hand` : `Before ${day(row.effective_on)}, hand`} the data over, then say so here.`)),
      row.exported && h('p', { class: 'orders-gist' }, 'The data were handed over, recorded ', when(row.exported.at), ` by ${row.exported.by}`, row.exported.note && [': ', h('bdi', {}, row.exported.note)], '.'),
      row.waits && h('p', { class: 'notice' }, row.waits),
      row.todo && h('p', { class: row.vendor === 'rejected' ? 'notice bad' : 'notice' }, row.vendor === 'rejected' && shape('bad'), h('span', {}, row.todo)),
      acts.length > 0 && h('div', { class: 'card-actions' }, ...acts));
  }

  portalSide(row) {
    const verb = row.state === 'draft' ? 'saved' : 'submitted';
    return [
      h('p', { class: 'quiet small' }, `${verb} `, when(row.at), row.by && ` by ${row.by}`),
      row.applied_at && h('p', { class: 'quiet small' }, 'applied ', when(row.applied_at)),
      row.state === 'withdrawn' && h('p', { class: 'quiet small' }, 'withdrawn ', when(row.decided_at), row.decided_by && ` by ${row.decided_by}`),
      row.state === 'withdrawn' && row.because && h('p', { class: 'orders-because', dir: 'auto' }, row.because),
    ].filter(Boolean);
  }

  vendorSide(row) {
    const by = { mail: 'by e-mail', hand: 'by hand', api: 'through its interface' }[row.how];
    const mail = row.message && this.page.may('mail.see') ? (text) => h('a', { href: `/mail#${row.message}`, 'data-keep': `order mail ${row.id}` }, text) : (text) => text;
    const told = row.told_at ? [row.how === 'mail' ? mail('delivered') : 'delivered', ` ${by}${row.to ? (row.how === 'mail' ? ` to ${row.to}` : `: ${row.to}`) : ''}, `, when(row.told_at)]
      : row.vendor === 'sending' ? [mail('to'), ` ${row.to}`] : null;
    const answered = row.state !== 'withdrawn'; // that it was withdrawn, nobody there has said
    const said = answered && row.decided_at && [`recorded ${row.decided_by ? `by ${row.decided_by}, ` : ''}`, when(row.decided_at)];
    return [
      answered && row.because && h('p', { class: 'orders-because', dir: 'auto' }, row.because),
      told && h('p', { class: 'quiet small' }, ...told),
      said && h('p', { class: 'quiet small' }, ...said),
      row.error && h('p', { class: row.vendor === 'sending' ? 'tone-late small' : 'small' }, row.vendor === 'sending' ? `Not sent yet. ${row.error}` : row.error),
    ].filter(Boolean);
  }

  // -- what can be recorded ---------------------------------------------------------------------------------------------

  acts(row) {
    const back = row.can_withdraw && this.page.may('order.submit') && h('button', { class: 'button', type: 'button', 'data-keep': `order withdraw ${row.id}`, 'aria-label': `Withdraw ${row.number}`, onclick: () => withdrawOrder({ me: this.page.config.me, id: this.page.id }, row, () => this.page.ask(['orders', 'gist orders', 'head', 'recent'])) }, 'Withdraw');
    const button = (key, text, act, primary) => h('button', { class: primary ? 'button primary' : 'button', type: 'button', 'data-keep': `order ${key} ${row.id}`, 'aria-label': `${text}: ${row.number}`, onclick: () => act(row) }, text);
    const fix = row.correctable && this.page.may('order.submit') && button('correct', 'Correct', (one) => this.correct(one), row.vendor === 'rejected');
    if (!this.page.may('order.record')) return [fix, back].filter(Boolean);
    const byHand = row.vendor === 'by_hand';
    const offered = {
      passed_on: () => button('passed on', byHand ? 'Passed on' : 'Passed on by hand', (one) => this.passedOn(one), byHand),
      accept: () => button('accept', 'Accepted', (one) => this.accept(one), !byHand),
      reject: () => button('reject', 'Rejected', (one) => this.reject(one)),
      recalled: () => button('recalled', 'Vendor told', (one) => this.recalled(one), true),
      deliver_again: () => button('again', 'Send by e-mail', (one) => this.again(one)),
      order_again: () => button('again', 'Deliver again', (one) => this.again(one), !fix),
    };
    return [
      row.vendor === 'rejected' && fix, ...Object.keys(offered).filter((key) => row.moves.includes(key)).map((key) => offered[key]()),
      row.wants_export && button('exported', 'Data handed over', (one) => this.exported(one)),
      row.wants_code && button('code', 'Type the account code', (one) => this.typeCode(one), true), row.vendor !== 'rejected' && fix, back,
    ].filter(Boolean);
  }

  form(row, key, given, address, pick = (values) => values) {
    openForm({
      ...given, draft: `${this.page.config.me} ${this.page.id} order ${row.id} ${key}`,
      store: async (values) => {
        await send('POST', `${this.page.address}/orders/${row.id}/${address}`, pick(values));
        this.page.ask(['orders', 'gist orders', 'head', 'recent']); // also where the live connection is away
      },
    });
  }

  // What comes of recording it, where the order waits for nothing else.
  atOnce(row, words, at = 'now') { return row.comes_about ? [h('b', {}, row.comes_about.replace(/now\.$/, `${at}.`)), ' ', words] : words; }

  passedOn(row) {
    this.form(row, 'passed on', {
      title: `${row.number} was passed on`, button: 'Record',
      about: this.atOnce(row, `Say so once the vendor has it: by phone, in its own portal, or by an e-mail of yours.${row.vendor === 'sending' ? ' The e-mail that waits is not sent any more.' : ''}`),
      fields: [{ name: 'note', label: 'To whom, or how', longest: 254, help: 'Such as “by phone to Kim at the order desk”. It may stay empty.' }],
    }, 'passed-on');
  }

  recalled(row) {
    this.form(row, 'recalled', {
      title: `The vendor knows that ${row.number} is withdrawn`, button: 'Record',
      about: 'Say so once the vendor has been told, and has agreed that nothing comes of it.',
      fields: [{ name: 'note', label: 'To whom, or how', longest: 254, help: 'Such as “by phone to Kim at the order desk”. It may stay empty.' }],
    }, 'recalled');
  }

  exported(row) {
    this.form(row, 'exported', {
      title: `The data of ${row.number} were handed over`, button: 'Record',
      about: 'Say so once the customer, or its new partner, has them. This is recorded in your name and cannot be taken back.',
      fields: [{ name: 'note', label: 'To whom, or how', longest: 254, help: 'Such as “on a disk, to Kim”. It may stay empty.' }],
    }, 'exported');
  }

  codeField(optional) {
    const { code } = this.content;
    return { name: 'account_code', label: 'Account code', longest: 40, help: optional ? `The one that the vendor gave. Empty if it comes later: until then ${code} stands.` : `It takes the place of ${code}, everywhere.` };
  }

  accept(row) {
    const asks = row.is_first && this.content.is_provisional;
    this.form(row, 'accept', {
      title: `The vendor accepted ${row.number}`, button: 'Record', fields: asks ? [this.codeField(true)] : [],
      about: asks ? 'With the acceptance of a new customer comes its account code.' : this.atOnce(row, 'This is recorded in your name and cannot be taken back.'),
    }, 'accepted');
  }

  reject(row) {
    this.form(row, 'reject', {
      title: `The vendor rejected ${row.number}`, button: 'Record',
      about: row.is_first ? 'The customer stays in Connect, and the order can be corrected and delivered again.' : row.state === 'applied' ? 'It is in force already and stays so; what the vendor said is shown beside it.' : 'It is over then, and never applies. A new one can be submitted.',
      fields: [{ name: 'because', label: 'Reason', longest: 300, help: 'In the vendor’s words, if you have them.' }],
    }, 'rejected');
  }

  again(row) {
    this.form(row, 'again', {
      title: row.vendor === 'by_hand' ? `Send ${row.number} by e-mail` : `Deliver ${row.number} again`, button: row.vendor === 'by_hand' ? 'Send' : 'Deliver again',
      about: !row.is_first ? this.atOnce(row, 'The vendor’s order desk gets its document.', 'once the e-mail has left') : row.correctable && this.page.may('order.submit') ? 'The vendor gets the same document once more. If something on it is wrong, correct the order instead.' : 'The vendor gets the same document once more. If something on it is wrong, let somebody correct the order who may submit orders.',
      fields: row.vendor === 'by_hand' ? [] : [{ name: 'note', label: 'What was put right', longest: 254, help: 'For the vendor and the history. It may stay empty.' }],
    }, 'deliver-again');
  }

  // What the order says of its number and of the lead; what was agreed stays.
  correct(row) {
    const facts = row.correctable;
    const again = row.vendor === 'delivered' || row.vendor === 'rejected' ? 'The vendor gets the corrected order in place of the one that it has.' : 'The vendor gets the corrected order.';
    const field = (name, label, more = {}) => ({ name, label, value: facts[name], ...more });
    const sentTo = this.content.rfi_sent_to;
    this.form(row, 'correct', {
      title: `Correct ${row.number}`, button: 'Correct and deliver',
      about: `${again} Its document is made anew, and the old one stays among the attachments. Products, licences and prices stay as they were agreed.`,
      fields: [
        field('po_number', 'Order (PO) number', { longest: 60, help: 'Empty: none is required.' }),
        field('lead_first_name', 'Implementation lead: first name', { longest: 60 }), field('lead_last_name', 'Implementation lead: last name', { longest: 60 }),
        field('lead_email', 'Implementation lead: e-mail', { kind: 'email', longest: 254 }),
        sentTo && { name: 'rfi', label: 'The RFI form, if that e-mail changes', kind: 'choice', value: 'move', choices: [['move', 'Send it to the new address, revoke the old link'], ['stay', 'Leave it as it was sent']], help: `It was sent to ${sentTo}. What is filled in already stays.` },
        field('lead_phone', 'Implementation lead: phone', { kind: 'tel', longest: 40, help: 'With + and the country code.' }),
        { name: 'note', label: 'A word to the vendor', longest: 120, help: 'What was corrected is told anyway. It may stay empty.' },
      ].filter(Boolean),
    }, 'correct', ({ note, rfi, ...values }) => ({ version: row.version, note, moves_rfi: rfi === 'move', facts: { ...values, po_waived: !values.po_number.trim() } }));
  }

  typeCode(row) {
    this.form(row, 'code', { title: 'Account code', button: 'Save', fields: [this.codeField(false)] }, 'account-code');
  }
}

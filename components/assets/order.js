// The order of a prospect: a form in sections with its fees beside it, its review, and the way to the new customer. What
// is typed is a draft until it is saved: it outlives a reload, a failed save, and what somebody else saves meanwhile.
import { h, live, number, when } from './live.js';
import { shape } from './icons.js';
import { send, worded, wrongFields } from './dialog.js';
import { FEES, OrderingPage, PERMITTED, fact, lineList, lineTable } from './ordering.js';
import { priced } from './prices.js';
import { recall, remember } from './drafts.js';

const PAUSE = 150; // ms without typing after which the fees are asked for
const PEOPLE = [['first_name', 'First name', 'text', 60], ['last_name', 'Last name', 'text', 60], ['email', 'E-mail', 'email', 254], ['phone', 'Phone', 'tel', 40]];

export function mount(root, config) {
  const page = new OrderPage(root, config);
  return { destroy: () => page.destroy() };
}

class OrderPage extends OrderingPage {
  kind = 'order';

  constructor(root, config) {
    super(config);
    this.address = `/api/ui/prospects/${config.id}/order`;
    this.draft = `${config.me} order ${config.id}`;
    this.kept = recall(this.draft) || {}; // field: {value, was}, and `theirs` where somebody else has saved another value meanwhile
    this.build(root, [`/prospects/${config.id}`, 'Prospect'], { title: 'Fees', name: 'Fees', store: 'Save and exit' });
    this.take(config);
    if (this.changed().length) this.note.textContent = 'What you had typed before is still here.';
    this.undo = [
      live.news(() => this.renew(), 'prospects', 'settings'),
      live.on('state', (state) => state === 'live' && this.askFailed && this.askFees()),
    ];
  }

  // -- drawing --------------------------------------------------------------------------------------------------------

  sections() { return [this.productsSection(), this.infrastructureSection(), this.peopleSection(), this.detailsSection()]; }

  text(longest, more = {}) { return h('input', { type: 'text', autocomplete: 'off', spellcheck: 'false', dir: 'auto', maxlength: longest, ...more }); }

  productsSection() {
    this.productsBox = h('div', { class: 'order-products' });
    const problem = h('p', { class: 'form-help', id: 'order-products-help' });
    this.controls.products = {
      label: 'The products', help: '', problem, invalid: null,
      get: () => this.products.filter(({ box }) => box.checked).map(({ code }) => code),
      set: (codes) => this.products.forEach(({ box, code }) => { box.checked = codes.includes(code); }),
      focus: () => this.productsBox.querySelector('input')?.focus(),
    };
    this.controls.quantities = {
      label: 'Quantities', help: '', problem: h('p', { class: 'form-help' }), invalid: null,
      get: () => Object.fromEntries(this.products.filter(({ quantity }) => quantity.value.trim()).map(({ code, quantity }) => [code, quantity.value.trim()])),
      set: (values) => this.products.forEach(({ quantity, code }) => { const value = String(values[code] ?? ''); if (quantity.value !== value) quantity.value = value; }),
      focus: () => this.productsBox.querySelector('.order-quantity input')?.focus(),
    };
    this.products = [];
    return this.section('Products and licences', '',
      h('div', { class: 'order-fields' }, this.field('seats', 'Licences', this.text(12, { inputmode: 'numeric' }), 'Permitted users, in total. Every product is for all of them, unless you say otherwise beside it.')),
      this.productsBox, problem, this.controls.quantities.problem);
  }

  drawProducts(catalogue) {
    const told = JSON.stringify(catalogue);
    if (told === this.toldCatalogue) return;
    this.toldCatalogue = told;
    const [chosen, quantities] = [this.value('products'), this.value('quantities')];
    this.products = catalogue.map((row) => this.productRow(row));
    const groups = [['primary', 'Primary products'], ['addon', 'Add-ons']].map(([kind, title]) => [title, this.products.filter((each) => each.kind === kind)]);
    const unpriced = !catalogue.length || (this.state.may.prices && !catalogue.some(({ price }) => price));
    this.productsBox.replaceChildren(...(unpriced ? [h('p', { class: 'notice' }, `There is nothing to order yet: no product has a price in ${this.state.currency}. `, this.state.may.set_prices ? h('a', { href: '/settings/prices' }, 'Fill in your price list') : 'An administrator fills in the price list.')] : []),
      ...groups.filter(([, rows]) => rows.length).map(([title, rows]) => h('fieldset', { class: 'order-group' }, h('legend', {}, title), ...rows.map(({ row }) => row))));
    this.controls.products.set(chosen);
    this.controls.quantities.set(quantities);
  }

  productRow({ code, name, kind, price, term, one_time, is_sample, is_priced }) {
    const id = `order-product-${code.replace(/\W/g, '_')}`;
    const box = h('input', { type: 'checkbox', id, 'aria-describedby': `${id}-help`, oninput: () => { this.typed('products'); if (!box.checked && quantity.value) { quantity.value = ''; this.typed('quantities'); } } });
    const quantity = h('input', { type: 'text', inputmode: 'numeric', maxlength: 12, autocomplete: 'off', 'aria-label': `Licences of ${name}, if not all`, 'aria-describedby': `${id}-help`, oninput: () => this.typed('quantities') });
    const problem = h('p', { class: 'form-error', id: `${id}-help`, hidden: true });
    const cost = h('span', { class: 'order-price' }, ...(price ? [priced(price, this.state.currency), h('span', { class: 'quiet' }, ` a ${term}`), one_time && h('span', { class: 'quiet' }, `, ${priced(one_time, this.state.currency)} once`)] : is_priced ? [] : [h('span', { class: 'quiet' }, 'No price yet')]));
    const row = h('div', { class: 'order-product' },
      h('label', { class: 'tick', for: id }, box, h('span', {}, h('b', {}, name), ' ', h('span', { class: 'mono quiet small' }, code), ' ', is_sample && h('span', { class: 'chip prices-sample' }, 'Sample'))),
      cost, h('span', { class: 'order-quantity' }, quantity), problem);
    return { code, name, kind, box, quantity, problem, row };
  }

  infrastructureSection() {
    const [citrix, label] = this.config.citrix;
    return this.section('Infrastructure', 'What is known today. The RFI form begins with it.', h('div', { class: 'order-fields' },
      ...this.config.infrastructure.map(([name, title, choices]) => this.field(name, title, h('select', {}, h('option', { value: '' }, 'Not known yet'), ...choices.map(([value, text]) => h('option', { value }, text))))),
      this.tick(citrix, label)));
  }

  peopleSection() {
    const fields = (whose) => PEOPLE.map(([name, label, type, longest]) => this.field(`${whose}_${name}`, label, this.text(longest, { type, dir: type === 'text' ? 'auto' : null, inputmode: type === 'tel' ? 'tel' : null }), name === 'phone' ? 'With + and the country code.' : ''));
    this.mainFields = h('fieldset', { class: 'order-group', hidden: true }, h('legend', {}, 'Main contact'), h('div', { class: 'order-fields' }, ...fields('main')));
    return this.section('People', 'The RFI form goes to the implementation lead as soon as the order is submitted.',
      h('fieldset', { class: 'order-group' }, h('legend', {}, 'Implementation lead'), h('div', { class: 'order-fields' }, ...fields('lead'))),
      this.tick('main_is_lead', 'The implementation lead is the main contact, too'), this.mainFields);
  }

  detailsSection() {
    return this.section('Order details', '', h('div', { class: 'order-fields' },
      this.field('po_number', 'Order (PO) number', this.text(60)), this.tick('po_waived', 'An order number is not required')));
  }

  // -- what is stored, and what is typed --------------------------------------------------------------------------------

  value(name) { return name in this.kept ? this.kept[name].value : this.state.facts[name]; }

  changed() { return Object.keys(this.kept); }

  // What is stored now; what is being typed stays, and is marked where it is no longer typed over the same.
  take(state) {
    this.state = state;
    if (!this.view) this.show('form');
    for (const [name, kept] of Object.entries(this.kept)) {
      const now = state.facts[name];
      if (!(name in this.controls) || same(kept.value, now)) delete this.kept[name];
      else if (!same(kept.was, now)) Object.assign(kept, { was: now, theirs: true });
    }
    this.drawProducts(state.catalogue);
    for (const [name, control] of Object.entries(this.controls)) control.set(this.value(name));
    this.keep();
    this.head();
    this.settle();
    this.askFees();
    if (state.done || state.prospect.state === 'lost') this.show('over');
    else if (this.view === 'over') this.show('form');
    else if (this.view === 'review' && state.order?.version !== this.reviewed.version && !this.submitting) {
      this.show('form');
      this.fail(`${state.order?.saved_by || 'Somebody'} has changed the order while you reviewed it. Review it again.`);
    }
    this.followLimit();
  }

  head() {
    const { prospect, order, done } = this.state;
    this.title.textContent = `${this.view === 'review' ? 'Review the order' : 'Order'} for ${prospect.name}`;
    this.standing.replaceChildren(...(done ? [done.number] : order ? [`${order.number}, saved by ${order.saved_by} `, when(order.changed_at)] : ['Not saved yet']));
    this.warn();
  }

  // A customer that has the domain already: it may be the same company, or meant.
  warn() {
    const { alike, prospect } = this.state;
    if (JSON.stringify(alike) === this.toldAlike) return;
    this.toldAlike = JSON.stringify(alike);
    const isOne = alike.some(({ state }) => state === 'Customer');
    this.above.replaceChildren(...(alike.length ? [h('p', { class: 'notice' }, `${prospect.domain} ${isOne ? 'is the domain of a customer already' : 'was the domain of a customer before'}: `,
      ...alike.flatMap(({ id, name, state }, n) => [n ? ', ' : '', h('a', { href: `/customers/${id}`, dir: 'auto' }, name), state === 'Customer' ? '' : ` (${state.toLowerCase()})`]),
      isOne ? '. This order makes another customer, and the RFI form takes a domain for one customer only. If it is the same company, change what it has on its own page instead.' : '. This order makes a new customer.')] : []));
  }

  typed(name) {
    const value = this.controls[name].get();
    if (same(value, this.state.facts[name])) delete this.kept[name];
    else this.kept[name] = { ...this.kept[name], value, was: this.kept[name]?.was ?? this.state.facts[name] };
    this.clear(name);
    this.note.textContent = '';
    this.keep();
    this.settle();
    if (['seats', 'products', 'quantities'].includes(name)) {
      clearTimeout(this.soon);
      this.soon = setTimeout(() => this.askFees(), PAUSE);
    }
  }

  keep() {
    const names = this.changed();
    this.drop.hidden = !names.length;
    if (names.length && !this.note.textContent) this.note.textContent = 'Not saved yet.';
    if (!names.length && /^(Not saved|What you)/.test(this.note.textContent)) this.note.textContent = '';
    remember(this.draft, names.length ? this.kept : null);
    for (const [name, { theirs }] of Object.entries(this.kept)) if (theirs) this.markTheirs(name);
  }

  // What follows from what is typed, without asking anybody.
  settle() {
    const seats = String(this.value('seats') ?? '').trim();
    for (const { box, quantity, row } of this.products) {
      row.classList.toggle('is-chosen', box.checked);
      quantity.parentElement.hidden = !box.checked;
      quantity.placeholder = /^\d+$/.test(seats) ? seats : 'All';
    }
    this.mainFields.hidden = Boolean(this.value('main_is_lead'));
    const { invalid: input, set } = this.controls.po_number;
    input.disabled = Boolean(this.value('po_waived'));
    set(input.disabled ? '' : this.value('po_number'));
  }

  discardTyped() {
    this.kept = {};
    this.clearAll();
    this.note.textContent = '';
    this.take(this.state);
    this.reviewButton.focus();
  }

  markTheirs(name) {
    const { problem } = this.controls[name];
    const now = plain(this.state.facts[name], name, this.config);
    problem.className = 'form-error';
    problem.replaceChildren(`${this.state.order?.saved_by || 'Somebody'} has saved “${now || 'nothing'}” here meanwhile. Saving puts yours in its place. `,
      h('button', { class: 'button small', type: 'button', onclick: () => { delete this.kept[name]; this.clear(name); this.take(this.state); this.controls[name].focus(); } }, 'Take theirs'));
  }

  clear(name) {
    if (!this.kept[name]?.theirs) super.clear(name); // what somebody else saved stays in sight
  }

  // -- fees -----------------------------------------------------------------------------------------------------------

  async askFees() {
    const [seats, products, quantities] = ['seats', 'products', 'quantities'].map((name) => this.value(name));
    const query = new URLSearchParams({ seats: String(seats ?? ''), products: products.join(','), quantities: Object.entries(quantities).map(([code, n]) => `${code}:${n}`).join(',') });
    const told = JSON.stringify([String(query), this.toldCatalogue]);
    if (told === this.askedFees && !this.askFailed) return;
    this.askedFees = told;
    await this.askComesTo(`fees?${query}`, (found) => this.drawFees(found), 'The fees cannot be worked out just now:');
  }

  drawFees({ lines, fees }) {
    if (!this.state.may.prices) { this.comesTo.replaceChildren(h('p', { class: 'quiet' }, 'Your role does not include prices.')); return; }
    if (!fees) { this.comesTo.replaceChildren(h('p', { class: 'quiet' }, 'They follow once the number of licences is right.')); return; }
    if (!lines.length) {
      const unpriced = this.value('products').length && /[1-9]/.test(this.value('seats'));
      this.comesTo.replaceChildren(h('p', { class: 'quiet' }, unpriced ? 'Nothing of what is chosen has a price yet.' : 'Choose products and say how many licences.'));
      return;
    }
    this.comesTo.replaceChildren(lineList(lines), totals(fees, this.state.currency));
  }

  sayOfProducts(wrong = {}) {
    for (const { code, name, problem, quantity, box } of this.products) {
      const [of, n] = [wrong[`product ${code}`] || this.problems[`product ${code}`], wrong[`quantity ${code}`] || this.problems[`quantity ${code}`]];
      problem.hidden = !(of || n);
      problem.textContent = of ? worded(name, of) : n ? worded('The number', n) : '';
      of ? box.setAttribute('aria-invalid', 'true') : box.removeAttribute('aria-invalid');
      n ? quantity.setAttribute('aria-invalid', 'true') : quantity.removeAttribute('aria-invalid');
    }
  }

  // -- saving ---------------------------------------------------------------------------------------------------------

  async save() {
    const sent = Object.fromEntries(Object.entries(this.kept).map(([name, { value }]) => [name, value]));
    const { now } = await send('POST', this.address, { facts: { ...this.state.facts, ...sent }, version: this.state.order?.version ?? 0 });
    for (const name of Object.keys(sent)) if (same(this.kept[name]?.value, sent[name])) { delete this.kept[name]; this.clear(name); } // typed on meanwhile: stays
    this.stored(now);
  }

  storeIt() {
    return this.busy(this.storeButton, async () => {
      while (this.changed().length || !this.state.order) await this.save(); // what is typed meanwhile as well
      this.go('/prospects');
    });
  }

  reviewAddress() { return `${this.address}/review`; }

  goToReview() {
    return this.busy(this.reviewButton, async () => {
      while (this.changed().length || !this.state.order) await this.save(); // what is typed meanwhile as well
      this.limitRead = this.state.limit;
      this.reviewed = await send('GET', this.reviewAddress());
      this.show('review');
    });
  }

  async say(error) {
    if (error.status === 409) {
      await this.renew();
      this.fail(error.field === 'version' ? `${this.state.order?.saved_by || 'Somebody'} has saved this order meanwhile. What you typed is still here; look at it and save again.` : error.message);
      return;
    }
    const wrong = Object.fromEntries(wrongFields(error));
    this.sayOfProducts(wrong);
    let first = null;
    for (const [name, message] of Object.entries(wrong)) {
      const row = this.products.find(({ code }) => [`product ${code}`, `quantity ${code}`].includes(name));
      if (row) first ||= name.startsWith('product') ? () => row.box.focus() : () => row.quantity.focus();
      if (name in this.controls) this.mark(name, message);
    }
    const inOrder = Object.keys(this.controls).find((name) => name in wrong); // as they stand on the page
    if (inOrder === 'seats' || !first) first = inOrder ? () => this.controls[inOrder].focus() : null;
    if (first) this.failMarked(Object.keys(wrong).length);
    else this.fail(error.message);
    first?.();
  }

  // -- the views ------------------------------------------------------------------------------------------------------

  show(view) { super.show(view, { review: () => this.reviewView(), over: () => this.overView() }); }

  overView() {
    remember(this.draft, null);
    const { done, prospect } = this.state;
    const link = this.handOver;
    if (!done) return h('div', { class: 'card order-over' }, h('p', {}, h('b', {}, 'This prospect is lost. '), prospect.lost_because), h('p', {}, 'To order for it, open it again on ', h('a', { href: `/prospects/${this.config.id}` }, 'its page'), '.'));
    return h('div', { class: 'card order-over' }, h('p', {}, h('b', {}, `${prospect.name} is a customer now. `), `${done.by} submitted ${done.number} `, when(done.at), '.'), link,
      done.customer ? h('p', {}, h('a', { class: 'button primary', href: `/customers/${done.customer}` }, 'To the customer')) : h('p', { class: 'quiet' }, 'It is not among the customers that you see.'));
  }

  reviewView() {
    const found = this.reviewed;
    const lines = (parts) => parts.flatMap((part, index) => (index ? [h('br'), part] : [part]));
    return this.reviewForm({
      what: 'order', agreement: found.agreement, above: found.above,
      parts: [
        h('section', { 'aria-label': 'Agreement' }, h('dl', { class: 'facts' },
          ...fact('MSP', found.msp), ...fact('Company name', found.company, found.domain && h('span', { class: 'quiet' }, ` · ${found.domain}`)),
          ...fact(PERMITTED, number(found.seats)), ...fact('Order (PO) number', found.po),
          ...fact('Implementation lead', ...lines(found.lead)), ...fact('Main contact', ...(found.main.join() === found.lead.join() ? ['The same'] : lines(found.main))),
          ...fact('Infrastructure', ...(found.infrastructure.length ? lines(found.infrastructure.map(([title, answer]) => `${title}: ${answer}`)) : ['Not known yet'])))),
        h('section', { class: 'order-review-fees', 'aria-label': 'Products and fees' }, found.lines ? lineTable(found.lines, found.currency) : h('ul', {}, ...found.products.map(([name, code, n]) => h('li', {}, `${name} (${code}): ${number(n)}`))), found.fees && totals(found.fees, found.currency)),
      ],
      after: h('p', { class: 'quiet small' }, `The company becomes a customer, and ${found.mails ? `the RFI form is mailed to ${found.lead_email}` : 'you get the link to the RFI form to pass on, because the portal has no mail server'}.`),
      buttons: [
        h('button', { class: 'button', type: 'button', onclick: () => this.show('form') }, 'Back to the order'),
        h('button', { class: 'button', type: 'button', onclick: () => this.go('/prospects') }, this.state.may.submit && !found.above ? 'Exit, submit later' : 'Exit'),
      ],
      instead: 'The order is saved. Your role does not include submitting it: an administrator or somebody in sales does that.',
      submit: async (ticks) => this.landed(await send('POST', `${this.address}/submit`, { version: found.version, fees: found.fees, ...ticks }, 60000)),
    });
  }

  // The order is submitted: to the customer, or first to the link that nobody was mailed.
  landed({ customer, number: order, mailed, to, link }) {
    remember(this.draft, null);
    if (mailed) { this.goToOrders(customer, `${order} was submitted: ${this.state.prospect.name} is a customer now. The RFI form is on its way to ${to} by e-mail.`); return; }
    const field = link && h('input', { class: 'mono', type: 'text', readonly: true, value: link, 'aria-label': 'Link to the RFI form', onfocus: (event) => event.target.select() });
    const copy = link && h('button', { class: 'button', type: 'button', onclick: async () => {
      field.select();
      try { await navigator.clipboard.writeText(link); } catch { document.execCommand('copy'); } // by http, the old way
      copy.replaceChildren('✓ Copied');
    } }, shape('copy'), 'Copy');
    this.handOver = h('div', { class: 'notice' }, h('p', {}, `The RFI form could not be mailed to ${to}, because the portal has no mail server. `, link ? 'Pass this link on yourself; it is shown this once:' : 'An administrator passes the link on, from Waiting for RFI.'), link && h('div', { class: 'link-box' }, field, copy));
    this.submitting = false;
    this.renew();
  }
}

function totals(fees, currency) {
  const shown = ['monthly', 'annual', 'one_time'].filter((name) => name === 'monthly' || /[1-9]/.test(fees[name]));
  return h('dl', { class: 'order-totals' }, ...shown.flatMap((name) => [h('dt', {}, FEES[name]), h('dd', {}, priced(fees[name], currency))]),
    h('dt', { class: 'is-first' }, FEES.initial, shown.length > 1 && h('div', { class: 'quiet small' }, 'All of this together')), h('dd', { class: 'is-first' }, priced(fees.initial, currency)));
}

// -- small things ---------------------------------------------------------------------------------------------------------

const normal = (value) => (Array.isArray(value) ? [...value].map(String).sort() : value && typeof value === 'object' ? Object.entries(value).map(([key, each]) => [key, String(each)]).sort() : typeof value === 'boolean' ? value : String(value ?? ''));
const same = (one, other) => JSON.stringify(normal(one)) === JSON.stringify(normal(other));

function plain(value, name, config) {
  if (Array.isArray(value)) return value.join(', ');
  if (value && typeof value === 'object') return Object.entries(value).map(([code, n]) => `${code}: ${n}`).join(', ');
  if (typeof value === 'boolean') return value ? 'ticked' : 'not ticked';
  const choices = config.infrastructure.find(([field]) => field === name)?.[2];
  return choices ? Object.fromEntries(choices)[value] || '' : String(value ?? '');
}

// The change order of a customer: what is to change, with a preview of old and new lines beside it, saved quotes, the review
// and what was submitted. What is typed outlives a reload until it is saved or thrown away.
import { h, live, number, when } from './live.js';
import { shape } from './icons.js';
import { openForm, openText, send, worded, wrongFields } from './dialog.js';
import { priced, signed } from './prices.js';
import { FEES, OrderingPage, PERMITTED, fact, lineList, lineTable } from './ordering.js';
import { recall, remember } from './drafts.js';

const PAUSE = 150; // ms without typing after which the preview is asked for
const UNSAVED = 'Not saved yet.';
const LISTS = ['primary', 'add_ons', 'drop'];

export function mount(root, config) {
  const page = new UpgradePage(root, config);
  return { destroy: () => page.destroy() };
}

class UpgradePage extends OrderingPage {
  kind = 'upgrade';

  constructor(root, config) {
    super(config);
    this.address = `/api/ui/customers/${config.id}/upgrade`;
    this.draft = `${config.me} upgrade ${config.id}`;
    this.state = config;
    const kept = recall(this.draft);
    this.quote = kept?.quote ?? null; // {id, version} of the quote that is open
    this.base = kept?.base ?? config.start; // what was typed against
    this.facts = kept?.facts ?? structuredClone(config.start);
    this.build(root, [`/customers/${config.id}`, 'Customer'], { title: 'What changes', name: 'Preview', store: 'Save quote' });
    this.take(config);
    if (kept) this.note.textContent = 'What you had typed before is still here.';
    live.watch('customer', config.id);
    this.undo = [
      live.on('customer', ({ id, parts }) => id === config.id && parts.some((part) => ['orders', 'products', 'facts', 'rfi', 'connect', 'all'].includes(part)) && this.renew()),
      live.news(() => this.renew(), 'settings'),
      live.on('state', (state) => state === 'live' && this.askFailed && this.askPreview(true)),
    ];
  }

  destroy() {
    live.watch(null);
    super.destroy();
  }

  // -- drawing --------------------------------------------------------------------------------------------------------

  sections() { return [this.licencesSection(), this.productsSection(), this.detailsSection()]; }

  licencesSection() {
    this.present = h('span', { class: 'quiet' });
    const seats = h('input', { type: 'text', inputmode: 'numeric', maxlength: 12, autocomplete: 'off' });
    return this.section('Licences', '', this.field('seats', 'New total of licences', seats, 'Permitted users in total, not how many come or go.', this.present));
  }

  productsSection() {
    const modes = this.config.modes.map(([value, title, about]) => {
      const id = `upgrade-mode-${value}`;
      const box = h('input', { type: 'radio', name: 'mode', value, id, 'aria-describedby': `${id}-about`, oninput: () => this.choseMode(value) });
      return { value, box, row: h('div', { class: 'upgrade-mode' }, h('label', { class: 'tick', for: id }, box, h('span', {}, title)), h('p', { class: 'quiet small', id: `${id}-about` }, about)) };
    });
    this.modes = modes;
    this.primaryBox = h('fieldset', { class: 'order-group' });
    this.addOnsBox = h('fieldset', { class: 'order-group' });
    const problem = h('p', { class: 'form-help', id: 'upgrade-primary-help' });
    const addOns = h('p', { class: 'form-help', id: 'upgrade-add_ons-help' });
    this.controls.mode = { label: 'The primary product', help: '', problem: h('p', { class: 'form-help' }), focus: () => modes[0].box.focus() };
    this.controls.primary = { label: 'The primary product', help: '', problem, focus: () => this.primaryBox.querySelector('input:enabled')?.focus() };
    this.controls.add_ons = { label: 'The add-ons', help: '', problem: addOns, focus: () => this.addOnsBox.querySelector('input:enabled')?.focus() };
    this.unseen = h('div', { class: 'notice bad', role: 'status', hidden: true });
    return this.section('Products', '', this.unseen, h('fieldset', { class: 'order-group upgrade-modes' }, h('legend', {}, 'Primary product'), ...modes.map(({ row }) => row), this.controls.mode.problem),
      this.primaryBox, problem, this.addOnsBox, addOns);
  }

  detailsSection() {
    this.date = h('input', { type: 'date', required: true });
    this.lead = h('select', {});
    this.invite = h('a', { href: '/users' }, 'Invite somebody');
    return this.section('Order details', '', h('div', { class: 'order-fields' },
      this.field('effective_on', 'Effective from', this.date, 'Licences and products change on this day.'),
      this.field('lead', 'Lead on our side', this.lead, 'The implementation lead of this change among your own people: the vendor is told the name, and the steps to be set up are theirs.', this.invite),
      this.field('po_number', 'Order (PO) number', h('input', { type: 'text', maxlength: 60, autocomplete: 'off', spellcheck: 'false', dir: 'auto' })),
      this.tick('po_waived', 'An order number is not required', 'That none is required')));
  }

  // Who is chosen and cannot be any more stays in the list until somebody else is.
  drawPeople() {
    const { people, may } = this.state;
    this.invite.hidden = !may.invite;
    const told = JSON.stringify([people, this.facts.lead]);
    if (told === this.toldPeople) return;
    this.toldPeople = told;
    const gone = this.facts.lead && !people.some(([id]) => String(id) === String(this.facts.lead));
    const option = (value, text) => h('option', { value }, text);
    this.lead.replaceChildren(option('', 'Nobody yet'), ...people.map(([id, name]) => option(id, name)), ...(gone ? [option(this.facts.lead, 'Somebody who cannot any more')] : []));
  }

  drawProducts() {
    const { catalogue, may } = this.state;
    const told = JSON.stringify(catalogue);
    if (told !== this.toldCatalogue) {
      this.toldCatalogue = told;
      this.rows = catalogue.map((product) => this.productRow(product));
      const of = (kind) => this.rows.filter((row) => row.kind === kind);
      const none = (what) => h('p', { class: 'quiet' }, `${what} `, may.set_prices && h('a', { href: '/settings/prices' }, 'Look at the price list'));
      this.primaryBox.replaceChildren(h('legend', {}, 'Which one'), ...(of('primary').length ? of('primary').map(({ row }) => row) : [none('No primary product has a price.')]));
      this.addOnsBox.replaceChildren(h('legend', {}, 'Add-ons'), ...(of('addon').length ? of('addon').map(({ row }) => row) : [none('No add-on has a price.')]));
    }
    for (const row of this.rows) row.set();
  }

  productRow({ code, name, kind, price, term, one_time: once, is_sample: sample, has }) {
    const id = `upgrade-product-${code.replace(/\W/g, '_')}`;
    const box = h('input', { type: 'checkbox', id, 'aria-describedby': `${id}-help`, oninput: () => this.choseProduct(code, kind, has, box.checked) });
    const problem = h('p', { class: 'form-error', id: `${id}-help`, hidden: true });
    const cost = price ? h('span', { class: 'order-price' }, priced(price, this.state.currency), h('span', { class: 'quiet' }, ` a ${term}`), has == null && once && h('span', { class: 'quiet' }, `, ${priced(once, this.state.currency)} once`)) : '';
    const mark = has != null && h('span', { class: 'chip upgrade-has' }, `Has ${number(has)}`);
    const row = h('div', { class: 'order-product upgrade-product' }, h('label', { class: 'tick', for: id }, box, h('span', {}, h('b', {}, name), ' ', h('span', { class: 'mono quiet small' }, code), ' ', mark, sample && h('span', { class: 'chip prices-sample' }, 'Sample'))), cost, problem);
    const set = () => {
      const { mode, primary, add_ons: addOns, drop } = this.facts;
      box.checked = kind === 'addon' ? (has == null ? addOns.includes(code) : !drop.includes(code)) : primary.includes(code) || (mode === 'add' && has != null);
      box.disabled = kind === 'primary' && mode === 'add' && has != null; // what there is stays
      row.classList.toggle('is-chosen', box.checked);
    };
    return { code, name, kind, box, problem, row, set };
  }

  // -- what is typed --------------------------------------------------------------------------------------------------

  choseMode(value) {
    // Of what the customer has nothing is chosen anew, and what would come beside it is not what comes in its place.
    this.facts.primary = [];
    this.typed('mode', value);
  }

  choseProduct(code, kind, has, on) {
    const name = kind === 'primary' ? 'primary' : has == null ? 'add_ons' : 'drop';
    const others = this.facts[name].filter((each) => each !== code);
    this.typed(name, on === (name !== 'drop') ? [...others, code] : others);
  }

  typed(name, value = this.controls[name].get()) {
    this.facts[name] = value;
    this.note.textContent = '';
    this.clear(name === 'drop' ? 'add_ons' : name);
    this.keep();
    this.settle();
    clearTimeout(this.soon);
    this.soon = setTimeout(() => this.askPreview(), PAUSE);
  }

  get isChanged() { return !same(this.facts, this.base); }

  keep() {
    if (this.submitting) return; // what was submitted is typed no more
    this.drop.hidden = !this.isChanged;
    if (!this.isChanged && this.note.textContent === UNSAVED) this.note.textContent = '';
    if (this.isChanged && !this.note.textContent) this.note.textContent = UNSAVED;
    remember(this.draft, this.isChanged || this.quote ? { quote: this.quote, base: this.base, facts: this.facts } : null);
  }

  // What follows from what is typed, without asking anybody.
  settle() {
    const { facts } = this;
    for (const { value, box } of this.modes) box.checked = facts.mode === value;
    this.primaryBox.hidden = facts.mode === 'keep';
    if (this.rows) for (const row of this.rows) row.set();
    this.drawPeople();
    for (const name of ['seats', 'lead', 'effective_on', 'po_waived']) this.controls[name].set(facts[name]);
    this.present.textContent = nowAndThen(this.state.customer.seats, facts.seats);
    const { invalid: input, set } = this.controls.po_number;
    input.disabled = Boolean(facts.po_waived);
    set(input.disabled ? '' : facts.po_number);
  }

  discardTyped() {
    this.facts = structuredClone(this.base);
    this.clearAll();
    this.note.textContent = '';
    this.keep();
    this.settle();
    this.askPreview();
    this.reviewButton.focus();
  }

  // Another quote, or none: a new one begins with what the customer has.
  open(quote) {
    this.quote = quote ? { id: quote.id, version: quote.version } : null;
    this.base = quote ? quote.facts : this.state.start;
    this.facts = structuredClone(this.base);
    this.clearAll();
    this.note.textContent = '';
    this.keep();
    this.take(this.state);
    this.title.focus();
  }

  // -- what is stored -------------------------------------------------------------------------------------------------

  take(state) {
    this.state = state;
    const mine = this.quote && state.quotes.find(({ id }) => id === this.quote.id);
    if (this.quote && !mine) { // submitted or discarded by somebody: what is typed here begins a new one
      if (!this.submitting) this.note.textContent = 'The quote was submitted or discarded. What you see is kept as a new one when you save it.';
      Object.assign(this, { quote: null, base: state.start });
    } else if (mine && mine.version !== this.quote.version && !this.isChanged) this.adopt(mine);
    if (!this.quote) {
      if (!this.isChanged) this.facts = structuredClone(state.start);
      this.base = state.start;
    }
    this.theirs = mine && mine.version !== this.quote.version ? mine : null;
    this.drawProducts();
    this.date.min = state.today;
    this.keep();
    this.settle();
    this.drawAbove();
    if (!this.view || (this.view === 'over') !== Boolean(state.why)) this.show(state.why ? 'over' : 'form');
    if (this.view === 'review' && !this.submitting && (state.waits_for || mine?.version !== this.reviewed.version)) {
      this.show('form');
      this.fail(state.waits_for || 'The quote was changed while you reviewed it. Review it again.');
    }
    this.head();
    this.askPreview();
    this.followLimit();
  }

  adopt(quote) {
    this.quote = { id: quote.id, version: quote.version };
    this.base = quote.facts;
    this.facts = structuredClone(quote.facts);
  }

  head() {
    const { customer, quotes } = this.state;
    const mine = this.quote && quotes.find(({ id }) => id === this.quote.id);
    this.title.textContent = `${this.view === 'review' ? 'Review the change order' : 'Change order'} for ${customer.name}`;
    this.standing.replaceChildren(...(mine ? [`${mine.number}, saved by ${mine.by} `, when(mine.at)] : this.view === 'over' ? [] : ['A new quote, not saved yet']));
  }

  // What is under way, and the quotes that were saved.
  drawAbove() {
    const { under_way: submitted, quotes, waits_for: waits, why } = this.state;
    const parts = [];
    if (submitted.length) parts.push(h('section', { class: 'card upgrade-card', 'aria-label': 'Under way' }, h('h2', {}, 'Under way'), ...submitted.map((order) => this.submittedRow(order))));
    if (waits && !why) parts.push(h('p', { class: 'notice' }, `Quotes can be saved, not submitted. ${waits}`));
    if (quotes.length && !why) parts.push(h('section', { class: 'card upgrade-card', 'aria-label': 'Saved quotes' },
      h('div', { class: 'upgrade-card-head' }, h('h2', {}, 'Saved quotes'), this.quote && h('button', { class: 'button small', type: 'button', 'data-keep': 'new', onclick: () => this.open(null) }, 'New quote')),
      ...quotes.map((quote) => this.quoteRow(quote))));
    if (this.theirs) parts.push(h('p', { class: 'notice' }, `${this.theirs.by} has saved this quote meanwhile. What you typed is still here. `, h('button', { class: 'button small', type: 'button', onclick: () => this.open(this.theirs) }, 'Show theirs')));
    const focused = this.above.contains(document.activeElement) ? document.activeElement.dataset.keep : null;
    this.above.replaceChildren(...parts);
    if (focused) this.above.querySelector(`[data-keep="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  submittedRow(order) {
    const back = this.state.may.submit && !order.why_not_withdrawn && h('button', { class: 'button small', type: 'button', 'data-keep': `withdraw ${order.id}`, onclick: () => withdrawOrder(this.config, order, () => this.renew()) }, 'Withdraw');
    return h('div', { class: 'upgrade-row' }, h('div', { class: 'upgrade-what' }, h('b', {}, order.number), ` ${order.title === 'Cancellation' ? 'ends the subscription' : `to ${licences(order.seats)}`} on ${day(order.effective_on)}`,
      h('div', { class: 'quiet small' }, `Submitted by ${order.by} `, when(order.at), ` · ${order.vendor}`, order.waits ? ` · ${order.waits}` : '', !order.why_not_withdrawn && order.until ? ` · can be withdrawn until ${day(order.until)}` : '')), back);
  }

  quoteRow(quote) {
    const isOpen = this.quote?.id === quote.id;
    const what = [licences(quote.seats), quote.products.join(', '), quote.monthly && `${priced(quote.monthly, quote.currency)} a month`].filter(Boolean).join(' · ');
    return h('div', { class: `upgrade-row${isOpen ? ' is-open' : ''}` }, h('div', { class: 'upgrade-what' }, h('b', {}, quote.number), ` ${what}`, h('div', { class: 'quiet small' }, `Saved by ${quote.by} `, when(quote.at))),
      isOpen ? h('span', { class: 'chip' }, 'Shown below') : h('button', { class: 'button small', type: 'button', 'data-keep': `open ${quote.id}`, onclick: () => this.choose(quote) }, 'Open'),
      h('button', { class: 'button plain small', type: 'button', 'data-keep': `discard ${quote.id}`, 'aria-label': `Discard ${quote.number}`, onclick: () => this.discard(quote) }, 'Discard'));
  }

  choose(quote) {
    if (!this.isChanged) { this.open(quote); return; }
    openForm({ title: 'Leave what you typed?', about: 'It is not saved. Save it as a quote first if it is still of use.', fields: [], button: 'Leave it', dismiss: 'Stay here', store: async () => setTimeout(() => this.open(quote)) });
  }

  discard(quote) {
    openForm({
      title: `Discard ${quote.number}?`, about: 'Nobody can open it any more. That there was a quote stays in the history.', fields: [], button: 'Discard', danger: true, dismiss: 'Keep it',
      store: async () => {
        const { now } = await send('POST', `${this.address}/${quote.id}/discard`, { version: quote.version });
        if (this.quote?.id === quote.id) Object.assign(this, { quote: null, base: now.start, facts: structuredClone(now.start) });
        this.stored(now);
      },
    });
  }

  // -- preview --------------------------------------------------------------------------------------------------------

  async askPreview(again = false) {
    if (this.state.why) return;
    const { facts } = this;
    const query = new URLSearchParams(Object.entries(facts).map(([name, value]) => [name, LISTS.includes(name) ? value.join(',') : String(value ?? '')]));
    const told = JSON.stringify([String(query), this.toldCatalogue, this.state.customer.seats]);
    if (told === this.askedPreview && !again) return;
    this.askedPreview = told;
    await this.askComesTo(`preview?${query}`, (found) => this.drawPreview(found), 'The preview cannot be made just now:');
    this.sayAtOnce();
  }

  drawPreview({ lines, fees, steps, problems }) {
    if (!lines) { this.comesTo.replaceChildren(h('p', { class: 'quiet' }, 'It follows once the fields are right.')); return; }
    if (!lines.length && /^Nothing/.test(problems.seats || '')) { this.comesTo.replaceChildren(h('p', { class: 'quiet' }, 'Nothing yet. Type a new total of licences, or choose products.')); return; }
    const none = this.state.may.prices ? 'The sums follow once everything has a price.' : 'Your role does not include prices.';
    this.comesTo.replaceChildren(lineList(lines), fees ? totals(fees, this.state.currency) : h('p', { class: 'quiet small' }, none),
      ...(steps.length ? [h('p', { class: 'upgrade-steps small' }, h('b', {}, 'To be set up then: '), steps.join(', '))] : []));
  }

  sayOfProducts() {
    const unseen = [];
    for (const { code, name, kind, problem, box } of this.rows || []) {
      const message = this.problems[`product ${code}`];
      if (message && kind === 'primary' && this.primaryBox.hidden) unseen.push(worded(name, message));
      problem.hidden = !message;
      problem.textContent = message ? worded(name, message) : '';
      message ? box.setAttribute('aria-invalid', 'true') : box.removeAttribute('aria-invalid');
    }
    // What is wrong with a product that the form does not show now.
    this.unseen.hidden = !unseen.length;
    this.unseen.replaceChildren(...(unseen.length ? [shape('bad'), h('span', {}, unseen.join(' '), ' ', this.state.may.set_prices && h('a', { href: '/settings/prices' }, 'Look at the price list'))] : []));
  }

  // What is wrong with what was typed is said at once; what is only missing, when the order is reviewed.
  sayAtOnce() {
    for (const [name, missing] of [['seats', /^Nothing|at least 1/], ['primary', /^(is empty|must not)/], ['effective_on', /^is empty/], ['lead', /^$/]]) {
      const message = this.problems[name];
      if (!message) this.clear(name);
      else if (!missing.test(message)) this.mark(name, message);
    }
  }

  // -- saving, reviewing, submitting ------------------------------------------------------------------------------------

  async save() {
    const sent = structuredClone(this.facts);
    const found = await send('POST', this.address, { facts: sent, order: this.quote?.id ?? null, version: this.theirs?.version ?? this.quote?.version ?? 0 });
    const typed = this.facts;
    this.adopt(found.now.quotes.find(({ id }) => id === found.order));
    for (const name of Object.keys(sent)) if (!same({ [name]: typed[name] }, { [name]: sent[name] })) this.facts[name] = typed[name]; // typed on meanwhile: stays
    this.note.textContent = '';
    this.stored(found.now);
  }

  storeIt() {
    return this.busy(this.storeButton, async () => {
      if (this.isChanged || !this.quote) await this.save();
      if (!this.isChanged) this.note.textContent = 'Saved as a quote.';
    });
  }

  goToReview() {
    return this.busy(this.reviewButton, async () => {
      while (this.isChanged || !this.quote) await this.save(); // what is typed meanwhile as well
      await this.review();
    });
  }

  reviewAddress() { return `${this.address}/${this.quote.id}/review`; }

  // `told` is why it has to be read once more.
  async review(told = '') {
    this.limitRead = this.state.limit;
    this.reviewed = await send('GET', this.reviewAddress());
    this.told = told;
    this.show('review');
    if (told) this.title.focus(); // back to the top, where it is said
  }

  async say(error) {
    if (error.status === 409) {
      await this.renew();
      this.fail(error.field === 'version' ? 'Somebody else has saved this quote meanwhile. What you typed is still here; look at it and save again.' : error.message);
      return;
    }
    const wrong = Object.fromEntries(wrongFields(error));
    for (const [name, message] of Object.entries(wrong)) if (this.controls[name]) this.mark(name, message);
    this.problems = { ...this.problems, ...wrong };
    this.sayOfProducts();
    const first = ['seats', 'mode', 'primary', 'add_ons', 'effective_on', 'lead', 'po_number'].find((name) => name in wrong);
    const row = this.rows?.find(({ code }) => `product ${code}` in wrong);
    if (first || row) this.failMarked(Object.keys(wrong).length);
    else this.fail(error.message);
    if (first) this.controls[first].focus();
    else if (row && row.kind === 'primary' && this.primaryBox.hidden) {
      this.modes.find(({ box }) => box.checked).box.focus();
      this.unseen.scrollIntoView({ block: 'center' });
    } else row?.box.focus();
  }

  show(view) {
    super.show(view, { review: () => this.reviewView(), over: () => this.overView() });
    this.above.hidden = view === 'review';
  }

  overView() {
    return h('div', { class: 'card order-over' }, h('p', {}, h('b', {}, 'Nothing can be ordered for this customer now. '), this.state.why), h('p', {}, h('a', { href: `/customers/${this.config.id}` }, 'To the customer')));
  }

  reviewView() {
    const found = this.reviewed;
    const withdraw = found.until ? `It can be withdrawn until ${found.until}; after that it stands.` : 'Its deadline for withdrawing has passed by then: once submitted, it stands.';
    return this.reviewForm({
      what: 'change order', agreement: found.agreement, above: found.above,
      parts: [
        this.told && h('div', { class: 'notice bad', role: 'alert' }, shape('bad'), h('span', {}, this.told)),
        found.is_downsell && h('div', { class: 'notice upgrade-downsell', role: 'note' }, h('b', {}, 'Fewer licences. '), `The bill of ${found.bills} is the first one that is lower. ${withdraw}`),
        h('section', { 'aria-label': 'Change order summary' }, h('dl', { class: 'facts' },
          ...fact('MSP', found.msp), ...fact('Company name', found.company, h('span', { class: 'quiet' }, ` · ${found.code}`)),
          ...fact(PERMITTED, found.was_seats === found.seats ? `${number(found.seats)}, as they are` : `${number(found.was_seats)} → ${number(found.seats)} in total`),
          ...fact('Primary product', found.mode), ...(found.comes.length ? fact('Comes', found.comes.join(', ')) : []), ...(found.goes.length ? fact('Goes', found.goes.join(', ')) : []),
          ...(found.steps.length ? fact('To be set up then', found.steps.join(', '), h('span', { class: 'quiet' }, ` · ${found.steps.length === 1 ? 'a step is' : 'steps are'} added to Connect details`)) : []),
          ...fact('Lead on our side', found.lead || 'Nobody yet'), ...fact('Effective from', found.effective_on), ...fact('Order (PO) number', found.po), ...(found.is_downsell ? [] : fact('Withdrawing', withdraw)))),
        h('section', { class: 'order-review-fees', 'aria-label': 'Changes to existing products' }, h('h2', {}, 'Changes to existing products'), found.fees ? lineTable(found.lines, found.currency) : lineList(found.lines), found.fees && totals(found.fees, found.currency)),
      ],
      buttons: [h('button', { class: 'button', type: 'button', onclick: () => this.show('form') }, 'Back to the quote')],
      instead: 'The quote is saved. Your role does not include submitting it: an administrator or somebody in sales does that.',
      submit: async (ticks) => {
        try {
          await send('POST', `${this.address}/${found.id}/submit`, { version: found.version, fees: found.fees, ...ticks }, 60000);
        } catch (error) {
          if (error.status !== 409 || !/Review it again/.test(error.message)) throw error;
          this.submitting = false;
          try {
            await this.review('What it costs, or what the customer has, has changed since you read this. Here it is as it is now; read it and submit it again.');
          } catch (refused) { // as it is now it cannot be submitted at all
            this.show('form');
            await this.say(refused);
          }
          return;
        }
        remember(this.draft, null);
        this.goToOrders(this.config.id, `${found.number} was submitted. It takes effect on ${found.effective_on}, once the vendor has been told.`);
      },
    });
  }
}

// -- taking back, and leaving: used by the page of a customer as well ---------------------------------------------------------

// Asks before a submitted change order or cancellation ({id, number}) is taken back; `whose` is {me, id}: who looks, and the
// customer.
export function withdrawOrder({ me, id }, order, done = () => {}) {
  openForm({
    title: `Withdraw ${order.number}`, about: 'Nothing of the customer changes then. If the vendor has it already, somebody has to tell it: the order is listed under Orders until that is recorded.',
    fields: [{ name: 'because', label: 'Reason', kind: 'text', help: 'If there is one to tell.' }], button: 'Withdraw', danger: true, dismiss: 'Leave it', draft: `${me} withdraw ${order.id}`,
    store: async ({ because }) => { await send('POST', `/api/ui/customers/${id}/orders/${order.id}/withdraw`, { because }); done(); },
  });
}

// The form of a cancellation; `customer` is {me, id, name}.
export async function cancelCustomer(customer, done = () => {}) {
  const address = `/api/ui/customers/${customer.id}/cancellation`;
  const { types, earliest, until, changes, above } = await send('GET', address);
  if (above) { openText(`Cancel ${customer.name}`, h('p', { class: 'notice' }, above)); return; }
  const authorised = (shared) => tickControl(shared, 'I am authorised to cancel this subscription.');
  openForm({
    title: `Cancel ${customer.name}`, about: `${until ? `The first 12 months run to their end: it takes effect on ${until} at the earliest.` : 'The contract is older than 12 months: it can take effect at once.'}${changes.map((one) => ` ${one.number} is to take effect on ${one.on}; it comes to nothing if the customer is closed before.`).join('')}`,
    fields: [
      { name: 'type', label: 'What happens', kind: 'choice', choices: [['', 'Choose'], ...types], value: '' },
      { name: 'data_export', label: 'Data export', kind: 'choice', choices: [['', 'Choose'], ['yes', 'Yes, the data have to be exported'], ['no', 'No export']], value: '' },
      { name: 'effective_on', label: 'Effective from', value: earliest, make: (shared) => h('input', { ...shared, type: 'date', min: earliest }), help: 'The customer is closed on this day, and nothing is watched any more. Until then this can be withdrawn.' },
      { name: 'because', label: 'Reason', kind: 'text' },
      { name: 'is_authorised', label: 'Authorisation', make: authorised, value: '' },
    ],
    button: 'Submit cancellation', danger: true, dismiss: 'Keep the customer', draft: `${customer.me} cancel ${customer.id}`,
    store: async ({ is_authorised: ticked, ...facts }) => { await send('POST', address, { facts, is_authorised: ticked === 'yes' }, 60000); done(); },
  });
}

// A tick that has a value, as inputs have: 'yes' or nothing.
function tickControl(shared, text) {
  const input = h('input', { type: 'checkbox', id: shared.id, 'aria-describedby': shared['aria-describedby'] });
  const box = h('label', { class: 'tick' }, input, h('span', {}, text));
  Object.defineProperty(box, 'value', { get: () => (input.checked ? 'yes' : ''), set: (value) => { input.checked = value === 'yes'; } });
  box.focus = () => input.focus();
  for (const name of ['setAttribute', 'removeAttribute']) box[name] = (...given) => input[name](...given); // that it is wrong is told of the tick
  return box;
}

// -- pieces -----------------------------------------------------------------------------------------------------------------

// Before, after and what lies between, for each month and each year that something is paid.
function totals(fees, currency) {
  const some = (text) => /[1-9]/.test(text);
  const groups = ['monthly', 'annual'].filter((name) => name === 'monthly' || some(fees[`${name}_before`]) || some(fees[`${name}_after`]));
  const rows = groups.flatMap((name) => [[`${FEES[name]} before`, fees[`${name}_before`]], [`${FEES[name]} from then on`, fees[`${name}_after`], 'is-first']]);
  return h('dl', { class: 'order-totals' }, ...rows.flatMap(([title, amount, kind]) => [h('dt', { class: kind }, title), h('dd', { class: kind }, priced(amount, currency))]),
    ...groups.flatMap((name) => [h('dt', {}, `${FEES[name]}, difference`), h('dd', {}, `${currency}\u00a0${fees[name].startsWith('-') || !some(fees[name]) ? '' : '+'}${signed(fees[name])}`)]),
    ...(some(fees.one_time) ? [h('dt', {}, FEES.one_time), h('dd', {}, priced(fees.one_time, currency))] : []));
}

const licences = (n) => `${number(n)} ${n === 1 ? 'licence' : 'licences'}`;

// What the customer has, and how many more or fewer there would be.
function nowAndThen(now, typed) {
  const more = /^\d+$/.test(typed) ? Number(typed) - now : 0;
  return `Now ${now ? number(now) : 'none'}${more ? ` · ${number(Math.abs(more))} ${more > 0 ? 'more' : 'fewer'}` : ''}`;
}

const day = (text) => new Date(`${text}T00:00:00Z`).toLocaleDateString('en-GB', { day: 'numeric', month: 'long', year: 'numeric', timeZone: 'UTC' });

const normal = (facts) => JSON.stringify(Object.entries(facts).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => [name, Array.isArray(value) ? [...value].sort() : typeof value === 'boolean' ? value : String(value ?? '')]));
const same = (one, other) => normal(one) === normal(other);

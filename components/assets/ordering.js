// What the order of a prospect and the change order of a customer share: a form in sections with what it comes to beside it,
// one request at a time, wrong fields marked, and a review whose two ticks are needed to submit.
import { h, number } from './live.js';
import { shape } from './icons.js';
import { send, worded } from './dialog.js';
import { money, signed } from './prices.js';
import { Asking } from './asking.js';
import { remember } from './drafts.js';

const TICKS = [
  ['accepts_agreement', (what, agreement) => `This ${what} is governed by the ${agreement}.`],
  ['is_authorised', (what) => `I am authorised to place this ${what}.`],
];

// A page of this kind. A subclass has `kind` (begins the ids), `address` (where it is read and stored), `sections()`,
// `take(state)`, `typed(name)`, `say(error)`, and one method for each button: `storeIt`, `goToReview`, `discardTyped`.
export class OrderingPage {
  constructor(config) {
    this.config = config;
    this.controls = {}; // field: {label, help, problem, invalid, get, set, focus}
    this.problems = {}; // what the server said of products, by field
    this.undo = [];
  }

  destroy() {
    this.undo.forEach((undo) => undo());
    this.asking.stop();
    clearTimeout(this.soon);
  }

  // -- drawing --------------------------------------------------------------------------------------------------------

  // `back` is [address, text] of where this page was reached from.
  build(root, back, panel) {
    this.asking = new Asking(this.address, { found: (state) => this.take(state) }); // where it fails, the live dot says so
    this.title = h('h1', { tabindex: '-1' });
    this.standing = h('p', { class: 'quiet order-standing' });
    this.above = h('div', { class: 'order-above' });
    this.main = h('div', { class: 'order-main' });
    this.scroller = h('div', { class: 'page-scroll order' },
      h('div', { class: 'order-head' }, h('a', { class: 'back', href: back[0] }, back[1]), this.title, this.standing), this.above, this.main);
    root.append(this.scroller);
    this.form = this.makeForm(panel);
  }

  // `panel` is {title, name, store}: the card beside the form, its name for a screen reader, and the button that stores.
  makeForm({ title, name, store }) {
    this.trouble = h('div', { class: 'notice bad', role: 'alert', hidden: true });
    this.note = h('p', { class: 'quiet small', role: 'status' });
    this.storeButton = h('button', { class: 'button', type: 'button', onclick: () => this.storeIt() }, store);
    this.reviewButton = h('button', { class: 'button primary', type: 'submit' }, 'Review order');
    this.drop = h('button', { class: 'button plain small', type: 'button', hidden: true, onclick: () => this.discardTyped() }, 'Discard what I typed');
    this.comesTo = h('div', { class: 'order-fees' });
    const side = h('aside', { class: 'order-side', 'aria-label': name }, h('div', { class: 'card order-panel' },
      h('h2', {}, title), this.comesTo, this.trouble, this.reviewButton, this.storeButton, this.note, this.drop));
    const form = h('form', { class: 'order-form', novalidate: true }, h('div', { class: 'order-sections' }, ...this.sections()), side);
    form.addEventListener('submit', (event) => { event.preventDefault(); this.goToReview(); });
    return form;
  }

  section(title, about, ...content) {
    const id = `${this.kind}-${title.replace(/\W+/g, '-').toLowerCase()}`;
    return h('section', { class: 'card order-section', 'aria-labelledby': id }, h('h2', { id }, title), about && h('p', { class: 'quiet order-about' }, about), ...content);
  }

  // A field with a label above, something beside it, and help or a problem below.
  field(name, label, input, help = '', beside = '') {
    const { id, problem } = this.control(name, label, input, help);
    return h('div', { class: 'field' }, h('label', { for: id }, label), beside ? h('span', { class: 'order-beside' }, input, beside) : input, problem);
  }

  // A tick with its text; `label` begins what is said when it is wrong.
  tick(name, text, label = text) {
    const input = h('input', { type: 'checkbox' });
    return h('div', { class: 'field order-tick' }, h('label', { class: 'tick' }, input, h('span', {}, text)), this.control(name, label, input).problem);
  }

  control(name, label, input, help = '') {
    const id = `${this.kind}-${name}`;
    Object.assign(input, { id, name });
    input.setAttribute('aria-describedby', `${id}-help`);
    input.addEventListener('input', () => this.typed(name));
    const problem = h('p', { class: 'form-help', id: `${id}-help` }, help);
    const isTick = input.type === 'checkbox';
    this.controls[name] = {
      label, help, problem, invalid: input, focus: () => input.focus(),
      get: () => (isTick ? input.checked : input.value),
      set: (value) => {
        if (isTick) input.checked = Boolean(value);
        else if (input.value !== String(value ?? '')) input.value = String(value ?? ''); // the cursor stays where it is
      },
    };
    return { id, problem };
  }

  // -- what is stored -------------------------------------------------------------------------------------------------

  renew() { return this.asking.load(); }

  // What the answer to something that was stored says of how it is now.
  stored(state) {
    this.asking.overtaken();
    this.take(state);
  }

  // Asks what is typed comes to, and draws the answer to the newest question: the one before may come later.
  async askComesTo(path, draw, failed) {
    const mine = this.asks = (this.asks || 0) + 1;
    this.comesTo.setAttribute('aria-busy', 'true');
    let found = null;
    try {
      found = await send('GET', `${this.address}/${path}`, undefined, 10000);
    } catch (error) {
      if (mine === this.asks) this.comesTo.replaceChildren(h('p', { class: 'quiet' }, `${failed} ${error.message}`));
    }
    if (mine !== this.asks) return;
    this.askFailed = !found;
    if (found) {
      this.problems = found.problems;
      draw(found);
    }
    this.comesTo.removeAttribute('aria-busy');
    this.sayOfProducts();
  }

  // -- what is wrong ----------------------------------------------------------------------------------------------------

  mark(name, message) {
    const control = this.controls[name];
    control.problem.className = 'form-error';
    control.problem.textContent = worded(control.label, message);
    control.invalid?.setAttribute('aria-invalid', 'true');
  }

  clear(name) {
    const control = this.controls[name];
    if (!control) return;
    control.invalid?.removeAttribute('aria-invalid');
    control.problem.className = 'form-help';
    control.problem.textContent = control.help;
  }

  clearAll() {
    Object.keys(this.controls).forEach((name) => this.clear(name));
    this.fail('');
  }

  fail(text) {
    this.trouble.hidden = !text;
    this.trouble.replaceChildren(...(text ? [shape('bad'), h('span', {}, text)] : []));
  }

  failMarked(count) {
    this.fail(count === 1 ? 'Something is still missing or wrong; it is marked.' : `${count} things are still missing or wrong; they are marked.`);
  }

  // Do this with the button busy; what cannot be is said where it belongs.
  async busy(button, work) {
    if (this.working) return;
    this.working = true;
    button.setAttribute('aria-busy', 'true');
    this.clearAll();
    try {
      await work();
    } catch (error) {
      await this.say(error);
    } finally {
      this.working = false;
      button.removeAttribute('aria-busy');
    }
  }

  // -- the views ------------------------------------------------------------------------------------------------------

  // `views` draws each one but the form.
  show(view, views) {
    const isNew = this.view !== view;
    this.view = view;
    if (isNew || view !== 'form') this.main.replaceChildren(view === 'form' ? this.form : views[view]());
    if (!isNew) return;
    this.head();
    this.scroller.closest('.page')?.scrollTo({ top: 0 });
    if (view === 'review') this.title.focus({ preventScroll: true });
  }

  // Whoever submits up to a limit is told as soon as that is another one, or the review was read before it was.
  async followLimit() {
    if (this.view !== 'review' || this.submitting || this.state.limit === this.limitRead) return;
    const was = this.reviewed;
    this.limitRead = this.state.limit;
    let found = null;
    try { found = await send('GET', this.reviewAddress()); } catch { return; } // what is wrong is said when it is submitted
    if (this.view !== 'review' || this.submitting || this.reviewed !== was || found.above === was.above) return; // ticks stay
    this.reviewed = { ...was, above: found.above };
    const focused = this.main.contains(document.activeElement);
    this.show('review');
    if (focused) this.title.focus({ preventScroll: true });
  }

  // The review: `parts` above the ticks, `buttons` before Submit. `what` is submitted with both ticks by `submit(ticks)`,
  // which may throw as `send` does; whoever may not submit sees `instead`. `above` says why it is above the limit of whoever
  // reads it: then Submit is off.
  reviewForm({ what, agreement, parts, after = '', buttons, instead, above, submit }) {
    const may = this.state.may.submit;
    if (above) return this.reviewAbove(above, what, parts, buttons);
    const ticks = TICKS.map(([name, words]) => {
      const id = `${this.kind}-${name}`;
      const input = h('input', { type: 'checkbox', id, 'aria-describedby': `${id}-help`, oninput: () => { problem.hidden = true; input.removeAttribute('aria-invalid'); } });
      const problem = h('p', { class: 'form-error', id: `${id}-help`, hidden: true }, `Tick this to submit the ${what}.`);
      return { input, problem, box: h('div', { class: 'field' }, h('label', { class: 'tick' }, input, h('span', {}, words(what, agreement))), problem) };
    });
    const trouble = h('div', { class: 'notice bad', role: 'alert', hidden: true });
    const button = h('button', { class: 'button primary', type: 'submit' }, `Submit ${what}`);
    const form = h('form', { class: 'card order-review', novalidate: true }, ...parts,
      may ? h('section', { class: 'order-ticks', 'aria-label': 'Agreed' }, ...ticks.map(({ box }) => box)) : h('p', { class: 'notice' }, instead), may && after, trouble,
      h('div', { class: 'dialog-buttons' }, ...buttons, may && button));
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      if (this.submitting || !may) return;
      const missing = ticks.filter(({ input }) => !input.checked);
      for (const { input, problem } of missing) { problem.hidden = false; input.setAttribute('aria-invalid', 'true'); }
      if (missing.length) { missing[0].input.focus(); return; }
      this.submitting = true;
      button.setAttribute('aria-busy', 'true');
      trouble.hidden = true;
      try {
        await submit({ accepts_agreement: true, is_authorised: true });
      } catch (error) {
        this.submitting = false;
        trouble.hidden = false;
        trouble.replaceChildren(shape('bad'), h('span', {}, error.message));
        if (error.status === 409 || error.status === 403) this.renew();
      }
      button.removeAttribute('aria-busy');
    });
    return form;
  }

  reviewAbove(above, what, parts, buttons) {
    const id = `${this.kind}-above`;
    const why = h('p', { class: 'notice', id, role: 'status', tabindex: '-1' }, above);
    const form = h('form', { class: 'card order-review', novalidate: true }, ...parts, why,
      h('div', { class: 'dialog-buttons' }, ...buttons, h('button', { class: 'button', type: 'submit', 'aria-disabled': 'true', 'aria-describedby': id }, `Submit ${what}`)));
    form.addEventListener('submit', (event) => { event.preventDefault(); why.focus(); });
    return form;
  }

  // As any link: without loading the portal anew. Whoever has gone elsewhere meanwhile stays there.
  go(address) {
    if (!this.scroller.isConnected) return;
    const link = h('a', { href: address, hidden: true });
    this.scroller.append(link);
    link.click();
  }

  // To the orders of the customer, where it is said what happened (assets/customer.js).
  goToOrders(customer, said) {
    if (!this.scroller.isConnected) return;
    remember(`${this.config.me} said ${customer}`, said);
    this.go(`/customers/${customer}#orders`);
  }
}

// A title and what is said of it, for a list of facts.
export const fact = (title, ...content) => [h('dt', {}, title), h('dd', { dir: 'auto' }, ...content)];

// -- lines: {code, name, quantity, unit_price, term, one_time, monthly, annual}; what goes has a quantity below 0 ----------

// What the sums of an order are called, as its document and the card of the customer call them (`models/pricing.py`).
export const FEES = { monthly: 'Monthly fees', annual: 'Annual fees', one_time: 'One-time (up front) fees', initial: 'First payment' };
export const PERMITTED = 'Licences (permitted users)';

const sumOf = ({ term }) => (term === 'month' ? 'monthly' : 'annual');
const quantity = (n) => (n < 0 ? `−${number(-n)}` : number(n));

export function lineList(lines) {
  return h('ul', { class: 'order-lines' }, ...lines.map((line) => h('li', { class: line.quantity < 0 ? 'is-gone' : '' }, h('span', {}, line.name, h('span', { class: 'quiet' }, ` ×\u00a0${quantity(line.quantity)}`)),
    line.term && h('span', { class: 'number' }, signed(line[sumOf(line)]), h('span', { class: 'quiet' }, ` a ${line.term}`)))));
}

export function lineTable(lines, currency) {
  return h('div', { class: 'plain-table-box' }, h('table', { class: 'plain-table' },
    h('thead', {}, h('tr', {}, ...[['Product'], ['Licences', 'number'], [`A licence (${currency})`, 'number'], ['Billed'], [`Recurring (${currency})`, 'number'], [`One-time (${currency})`, 'number']].map(([text, kind]) => h('th', { scope: 'col', class: kind }, text)))),
    h('tbody', {}, ...lines.map((line) => h('tr', { class: line.quantity < 0 ? 'is-gone' : '' }, h('td', {}, h('b', {}, line.name), ' ', h('span', { class: 'mono quiet' }, line.code)),
      h('td', { 'data-label': 'Licences', class: 'number' }, quantity(line.quantity)), h('td', { 'data-label': 'A licence', class: 'number' }, money(line.unit_price)),
      h('td', { 'data-label': 'Billed' }, line.term === 'month' ? 'Monthly' : 'Annually'), h('td', { 'data-label': 'Recurring', class: 'number' }, signed(line[sumOf(line)])),
      h('td', { 'data-label': 'One-time', class: 'number' }, /[1-9]/.test(line.one_time) ? money(line.one_time) : '–'))))));
}

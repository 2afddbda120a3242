// Roles in consoles: one person over all customers, with granting and revoking at many at once, and the consoles.
import { h, live, momentOf, number, when } from './live.js';
import { openForm, send } from './dialog.js';
import { read, reasonOf } from './tips.js';
import { Offer } from './access_begin.js';
import { mountConsoles } from './consoles.js';
import { fieldWords } from './customer_access.js';

const PAGE = 100; // customers at once, as in pages/api/access.py
const MOST = 1000; // that one act may name
const SHOWN = [['', 'All customers'], ['held', 'Where they hold it'], ['free', 'Where they do not']];

export function mount(root, config) {
  const page = new AccessPage(root, config);
  return { destroy: () => page.destroy() };
}

class AccessPage {
  constructor(root, config) {
    this.config = config;
    this.address = new URLSearchParams(location.search);
    this.start = 0;
    this.chosen = new Map(); // id: name
    this.asked = 0; // an answer to an older question is not shown
    this.offer = new Offer(root, () => this.load());
    this.build(root);
    this.undo = [live.news(() => this.loadPeople(), 'users')];
    if (config.consoles) this.consoles = mountConsoles(root);
    this.loadPeople();
  }

  destroy() {
    this.offer.destroy();
    this.consoles?.destroy();
    this.undo.forEach((undo) => undo());
  }

  // -- drawing --------------------------------------------------------------------------------------------------------

  build(root) {
    this.person = h('select', { id: 'access-person', onchange: () => this.ask({ start: 0, forget: true }) });
    this.search = h('input', { type: 'search', id: 'search', placeholder: 'Search customers', 'aria-label': 'Search customers', title: 'Part of a name, account code or domain', maxlength: 200, autocomplete: 'off', spellcheck: 'false' });
    this.search.value = this.address.get('q') || '';
    this.search.addEventListener('search', () => !this.search.value && this.ask({ start: 0 }));
    this.shown = h('select', { 'aria-label': 'Which customers', onchange: () => this.ask({ start: 0 }) }, ...SHOWN.map(([value, title]) => h('option', { value }, title)));
    this.shown.value = SHOWN.some(([value]) => value === this.address.get('show')) ? this.address.get('show') : '';
    this.count = h('p', { class: 'count', role: 'status' }, '\u00a0');
    this.all = h('input', { type: 'checkbox', onchange: () => this.choosePage() });
    this.rows = h('tbody', {});
    this.none = h('p', { class: 'calm', hidden: true });
    this.chooseAll = h('button', { class: 'button small', type: 'button', hidden: true, onclick: () => this.chooseFound() });
    this.chooseNone = h('button', { class: 'button small', type: 'button', hidden: true, onclick: () => { this.chosen.clear(); this.showChosen(); this.search.focus(); } }, 'Choose none');
    this.before = h('button', { class: 'button small', type: 'button', onclick: () => this.ask({ start: this.start - PAGE }) }, 'Previous');
    this.after = h('button', { class: 'button small', type: 'button', onclick: () => this.ask({ start: this.start + PAGE }) }, 'Next');
    this.place = h('span', { class: 'quiet small' });
    this.said = h('p', { class: 'access-said', role: 'status' });
    this.until = h('input', { type: 'datetime-local', id: 'access-until' });
    this.reason = h('input', { type: 'text', id: 'access-reason', maxlength: 200, autocomplete: 'off' });
    this.generic = h('input', { type: 'checkbox', id: 'access-generic', onchange: () => { this.reasonBox.hidden = !this.generic.checked; if (this.generic.checked) this.reason.focus(); } });
    this.reasonBox = h('label', { class: 'field', hidden: true }, h('span', {}, 'Reason'), this.reason);
    this.grantButton = h('button', { class: 'button primary', type: 'button', onclick: () => this.act('grant') }, 'Grant');
    this.revokeButton = h('button', { class: 'button', type: 'button', onclick: () => this.act('revoke') }, 'Revoke');
    this.amount = h('b', {});
    root.append(h('section', { class: 'card access', 'aria-label': 'One person at many customers' },
      h('div', { class: 'access-bar' },
        h('label', { class: 'field' }, h('span', {}, 'Person'), this.person),
        h('form', { role: 'search', class: 'search', onsubmit: (event) => { event.preventDefault(); this.ask({ start: 0 }); } }, this.search, h('button', { type: 'submit', class: 'button' }, 'Go')),
        this.shown, this.count),
      h('div', { class: 'access-act', role: 'group', 'aria-label': 'Partner Administrator at what is chosen' },
        h('div', { class: 'access-amount' }, this.amount, this.chooseAll, this.chooseNone),
        h('label', { class: 'field' }, h('span', {}, 'Until (if not for good)'), this.until),
        this.config.generic && h('label', { class: 'access-tick' }, this.generic, h('span', {}, 'By the generic account, where no administrator holds it')),
        this.reasonBox,
        h('div', { class: 'access-buttons' }, this.grantButton, this.revokeButton)),
      this.said,
      h('div', { class: 'access-rows' }, h('table', { class: 'access-table' },
        h('caption', { class: 'sr-only' }, 'Customers and the person’s role in each console'),
        h('thead', {}, h('tr', {}, h('th', { scope: 'col', class: 'access-check' }, h('label', {}, this.all, h('span', {}, 'Choose all on this page'))), ...['Customer', 'Account code', 'Role', 'To know'].map((text) => h('th', { scope: 'col' }, text)))),
        this.rows), this.none),
      h('div', { class: 'access-pages' }, this.place, h('span', { class: 'grow' }), this.before, this.after)));
    this.showChosen();
  }

  row(one) {
    const tick = h('input', { type: 'checkbox', 'aria-label': `Choose ${one.name}`, 'data-id': one.id, onchange: () => this.choose(one, tick.checked) });
    tick.checked = this.chosen.has(one.id);
    const know = [
      !one.mine && (one.granters.length ? `You do not hold it here; ${one.granters.slice(0, 3).join(', ')}${one.granters.length > 3 ? ' and others' : ''} can grant it` : 'No administrator holds it: the generic account can grant it'),
      !one.sees && 'Cannot see this customer in the portal',
    ].filter(Boolean);
    return h('tr', {},
      h('td', { class: 'access-check' }, tick), h('td', {}, h('a', { href: `/customers/${one.id}`, dir: 'auto' }, one.name)), h('td', { class: 'mono', 'data-label': 'Account code' }, one.account_code),
      h('td', { 'data-label': 'Role' }, h('div', {}, h('span', { class: one.role === 'None' ? 'quiet' : '' }, one.role), one.until ? h('span', { class: 'quiet small' }, ' until ', when(one.until)) : '')),
      h('td', { class: 'quiet small', 'data-label': 'To know' }, know.join('. ')));
  }

  showChosen() {
    const count = this.chosen.size;
    this.amount.textContent = count ? `${number(count)} chosen` : 'Choose customers';
    this.chooseNone.hidden = !count;
    const total = this.found?.total || 0;
    this.chooseAll.hidden = !total || count >= Math.min(total, MOST);
    this.chooseAll.textContent = total > MOST ? `Choose the first ${number(MOST)} of ${number(total)}` : `Choose all ${number(total)}`;
    for (const tick of this.rows.querySelectorAll('[data-id]')) tick.checked = this.chosen.has(Number(tick.dataset.id));
    const here = this.found?.rows || [];
    const some = here.filter((one) => this.chosen.has(one.id)).length;
    this.all.checked = some > 0 && some === here.length;
    this.all.indeterminate = some > 0 && some < here.length;
  }

  tell(text, isBad = false) {
    this.said.textContent = text;
    this.said.classList.toggle('form-error', isBad);
  }

  // -- asking ---------------------------------------------------------------------------------------------------------

  async loadPeople() {
    try {
      const { people } = await fetch('/api/ui/access', { cache: 'no-store' }).then(read);
      if (JSON.stringify(people) === JSON.stringify(this.people)) return void this.load(); // the choice may be open at this moment
      this.people = people;
      const before = this.person.value;
      const wanted = before || this.address.get('person') || String(this.config.me);
      this.person.replaceChildren(...people.map((one) => h('option', { value: String(one.id) }, `${one.name} (${one.email})${one.opens ? '' : ` – ${one.portal_role}, cannot open consoles`}`)));
      this.person.value = people.some((one) => String(one.id) === wanted) ? wanted : String(people[0]?.id ?? '');
      if (before && this.person.value !== before) { // disabled meanwhile: what was chosen was not meant for whoever stands there now
        this.chosen.clear();
        this.tell('The person that you had chosen cannot be granted anything any more. Choose somebody else.', true);
      }
      this.load();
    } catch (error) {
      this.tell(`The people cannot be read just now: ${reasonOf(error)}`, true);
    }
  }

  ask({ start, forget = false }) {
    this.start = Math.max(0, start);
    if (forget) this.chosen.clear();
    this.tell('');
    const kept = new URLSearchParams(Object.entries({ person: this.person.value, q: this.search.value.trim(), show: this.shown.value }).filter(([, value]) => value));
    history.replaceState(history.state, '', `${location.pathname}?${kept}`);
    this.load();
  }

  query(more) {
    return new URLSearchParams({ q: this.search.value.trim(), show: this.shown.value, ...more });
  }

  async load() {
    if (!this.person.value) return;
    const asked = ++this.asked;
    try {
      const found = await fetch(`/api/ui/access/${this.person.value}/customers?${this.query({ start: this.start })}`, { cache: 'no-store' }).then(read);
      if (asked !== this.asked) return;
      if (!found.rows.length && found.total && this.start) return this.ask({ start: 0 });
      this.found = found;
      const told = JSON.stringify(found.rows);
      if (told !== this.told) { // rows that are the same stay: somebody may be ticking one
        this.told = told;
        const focused = this.rows.contains(document.activeElement) ? document.activeElement.dataset.id : null;
        this.rows.replaceChildren(...found.rows.map((one) => this.row(one)));
        if (focused) this.rows.querySelector(`[data-id="${focused}"]`)?.focus();
      }
      this.count.textContent = `${number(found.total)} ${found.total === 1 ? 'customer' : 'customers'}`;
      this.none.hidden = found.total > 0;
      this.none.textContent = this.search.value || this.shown.value ? 'No customers match. Shorten the search, or show all customers.' : 'There are no customers yet.';
      this.place.textContent = found.total > PAGE ? `${number(found.start + 1)} to ${number(found.start + found.rows.length)} of ${number(found.total)}` : '';
      this.before.parentElement.hidden = found.total <= PAGE;
      this.before.disabled = this.start === 0;
      this.after.disabled = this.start + PAGE >= found.total;
      this.showChosen();
    } catch (error) {
      if (error.status === 401) return live.leave();
      if (asked === this.asked) this.tell(`The customers cannot be read just now: ${reasonOf(error)}`, true);
    }
  }

  choose(one, isChosen) {
    if (isChosen && this.chosen.size >= MOST) this.tell(`Up to ${number(MOST)} customers at once.`, true);
    else isChosen ? this.chosen.set(one.id, one.name) : this.chosen.delete(one.id);
    this.showChosen();
  }

  choosePage() {
    const isChosen = this.all.checked;
    for (const one of this.found?.rows || []) if (!isChosen || this.chosen.size < MOST) isChosen ? this.chosen.set(one.id, one.name) : this.chosen.delete(one.id);
    this.showChosen();
  }

  async chooseFound() {
    try {
      const { ids } = await fetch(`/api/ui/access/${this.person.value}/customers?${this.query({ ids: '1' })}`, { cache: 'no-store' }).then(read);
      this.chosen = new Map(ids.map((id) => [id, '']));
      this.showChosen();
      this.grantButton.focus();
    } catch (error) {
      this.tell(error.message, true);
    }
  }

  act(verb) {
    if (!this.chosen.size) return this.tell('Choose the customers first.', true);
    if (verb === 'grant' && this.until.validity.badInput) return this.tell('Until is not a whole date with a time.', true);
    const isOwn = this.person.value === String(this.config.me);
    if (verb === 'revoke' && (isOwn || this.chosen.size > 1)) return this.askToRevoke(isOwn);
    return this.go(verb);
  }

  // One press must not take many roles away, nor those by which one could give them back.
  askToRevoke(isOwn) {
    const where = `${number(this.chosen.size)} ${this.chosen.size === 1 ? 'customer' : 'customers'}`;
    const { name } = this.people.find((one) => String(one.id) === this.person.value) || { name: 'this person' };
    openForm({
      title: isOwn ? `Revoke your own role at ${where}?` : `Revoke Partner Administrator from ${name} at ${where}?`, button: 'Revoke', dismiss: 'Keep it', danger: true, fields: [],
      about: isOwn ? 'You can open the console no more there, and grant nobody the role. Where nobody else holds it, only the generic account can grant it again, with a reason.' : 'The Admin Console button is off for them within seconds. What they have open at the vendor is not closed by this.',
      store: async () => this.done(await this.post('revoke')),
    });
  }

  post(verb) {
    return send('POST', `/api/ui/access/${verb}`, {
      user: Number(this.person.value), customers: [...this.chosen.keys()], generic: this.generic.checked, reason: this.generic.checked ? this.reason.value : '',
      ...(verb === 'grant' ? { expires_at: this.until.value ? momentOf(this.until.value) : '' } : {}),
    });
  }

  done(answer) {
    this.tell(answer.said);
    this.chosen.clear();
    return this.load();
  }

  async go(verb) {
    const button = verb === 'grant' ? this.grantButton : this.revokeButton;
    if (button.getAttribute('aria-busy')) return;
    button.setAttribute('aria-busy', 'true');
    this.tell('');
    try {
      await this.done(await this.post(verb));
    } catch (error) {
      this.tell(fieldWords(error), true);
    } finally {
      button.removeAttribute('aria-busy');
    }
  }
}

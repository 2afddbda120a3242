// The page of one customer: a summary that stays in view, cards that open and close, recent history and contacts. What
// is open is kept current: the live socket names the parts that changed, and those that are shown are asked for again.
import { h, inZone, live, parseTime, spoken, when } from './live.js';
import { HEALTH, shape, stateIcon } from './icons.js';
import { glyph } from './glyphs.js';
import { Tips, isRefused, read } from './tips.js';
import { bodies } from './cards.js';
import { contactsPanel, editFacts } from './contacts.js';
import { manageAccess } from './customer_access.js';
import { openText } from './dialog.js';
import { recall, remember } from './drafts.js';
import { cancelCustomer } from './upgrade.js';

const day = (text) => new Date(parseTime(text)).toLocaleDateString('en-GB', inZone({ day: 'numeric', month: 'long', year: 'numeric' }));
const TRY_AGAIN = 1500; // ms until what could not be read is asked for once more
const PAUSE = 150; // ms at least between two requests of a page that changes all the time
const KINDS = [['inbound_queue', 'Inbound email queue'], ['outbound_queue', 'Outbound email queue'], ['journal_queue', 'Journaling queue'], ['journal_connector', 'Journaling connector'], ['directory_connector', 'Active Directory connector']];

export function mount(root, config) {
  const page = new CustomerPage(root, config);
  return { destroy: () => page.destroy() };
}

class CustomerPage {
  constructor(root, config) {
    this.root = root;
    this.config = config;
    this.id = config.id;
    this.address = `/api/ui/customers/${config.id}`;
    this.parts = config.parts;
    this.opened = new Set(config.open);
    this.dirty = new Set();
    this.asking = false;
    this.tips = new Tips((kind) => Object.fromEntries(KINDS)[kind]);
    this.may = (action) => config.rights.includes(action);
    this.build();
    this.undo = [
      live.on('customer', (message) => message.id === this.id && this.touched(message.parts)),
      live.on('again', () => this.touched(['all'])),
    ];
    this.timer = setInterval(() => this.showTimes(), 15000);
    this.onHash = () => this.goToHash();
    addEventListener('hashchange', this.onHash);
    this.onHide = () => this.keepOpen();
    addEventListener('pagehide', this.onHide);
    live.watch('customer', this.id);
    this.sayWhatWasDone();
    requestAnimationFrame(() => this.goToHash());
  }

  destroy() {
    live.watch(null);
    this.undo.forEach((undo) => undo());
    clearInterval(this.timer);
    clearTimeout(this.askSoon);
    this.keepOpen();
    this.stayThere?.disconnect();
    this.measureHead.disconnect();
    removeEventListener('pagehide', this.onHide);
    removeEventListener('hashchange', this.onHash);
    this.tips.hide();
    for (const card of Object.values(this.cards)) card.body?.destroy?.();
  }

  // -- drawing --------------------------------------------------------------------------------------------------------

  build() {
    this.head = h('header', { class: 'customer-head' });
    this.endBox = h('p', { class: 'notice customer-end', role: 'status', dir: 'auto', hidden: true });
    this.notice = h('p', { class: 'notice bad', role: 'alert', hidden: true });
    this.recent = h('ol', { class: 'recent' });
    this.contacts = h('div', { class: 'contacts' });
    this.cards = Object.fromEntries(this.config.cards.map((card) => [card.key, this.makeCard(card)]));
    const toggle = (open) => () => { for (const key of Object.keys(this.cards)) this.setOpen(key, open); };
    this.root.append(h('div', { class: 'customer' }, this.head, this.notice, this.endBox,
      h('div', { class: 'customer-cards' },
        h('div', { class: 'fold-all' },
          h('button', { class: 'button plain', type: 'button', onclick: toggle(true) }, 'Open all'),
          h('button', { class: 'button plain', type: 'button', onclick: toggle(false) }, 'Close all')),
        ...Object.values(this.cards).map((card) => card.box)),
      h('aside', { class: 'customer-rail', 'aria-label': 'Recent history and contacts' },
        h('section', { class: 'card', 'aria-labelledby': 'recent-title' }, h('h2', { id: 'recent-title' }, 'Recent customer history'), this.recent),
        h('section', { class: 'card', 'aria-labelledby': 'contacts-title' }, h('h2', { id: 'contacts-title' }, 'Contacts'), this.contacts))));
    this.head.addEventListener('pointerover', (event) => { const icon = event.target.closest('[data-monitor]'); icon ? this.tips.show(icon) : this.tips.hide(); });
    this.head.addEventListener('pointerleave', () => this.tips.hide());
    this.head.addEventListener('focusin', (event) => event.target.dataset.monitor && this.tips.show(event.target));
    this.head.addEventListener('focusout', () => this.tips.hide());
    this.head.addEventListener('keydown', (event) => event.key === 'Escape' && this.tips.hide());
    this.showHead();
    this.showRecent();
    this.showContacts();
    for (const key of Object.keys(this.cards)) this.showCard(key);
    this.measureHead = new ResizeObserver(() => this.root.firstChild?.style.setProperty('--head', `${this.head.offsetHeight}px`));
    this.measureHead.observe(this.head);
  }

  makeCard({ key, title, shows }) {
    const gist = h('span', { class: 'fold-gist' });
    const body = h('div', { class: 'fold-body', id: `${key}-body`, hidden: true });
    const head = h('button', { class: 'fold-head', type: 'button', 'aria-expanded': 'false', 'aria-controls': `${key}-body`, 'data-keep': `card ${key}`, onclick: () => this.setOpen(key, !this.opened.has(key)) },
      shape('chevron'), h('span', { class: 'fold-title' }, title), gist);
    return { key, shows, gist, bodyBox: body, head, body: null, box: h('section', { class: 'card fold', id: key }, h('h2', {}, head), body) };
  }

  setOpen(key, open) {
    if (open === this.opened.has(key)) return;
    open ? this.opened.add(key) : this.opened.delete(key);
    this.showCard(key);
    if (open && !(key in this.parts)) this.ask([key]);
    clearTimeout(this.keepSoon);
    this.keepSoon = setTimeout(() => this.keepOpen()); // soon: the page may be left at once
  }

  // Which cards are open, also when the page is left at once.
  keepOpen() {
    if (!this.keepSoon) return;
    clearTimeout(this.keepSoon);
    this.keepSoon = null;
    fetch('/api/ui/open-cards', { method: 'POST', keepalive: true, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ open: [...this.opened] }) }).catch(() => {});
  }

  showCard(key) {
    const card = this.cards[key];
    const open = this.opened.has(key);
    const gist = this.parts[`gist ${key}`];
    card.gist.textContent = gist?.text ?? '';
    card.gist.classList.toggle('tone-bad', gist?.tone === 'bad');
    card.gist.prepend(...(gist?.tone === 'bad' ? [shape('bad')] : []));
    card.head.setAttribute('aria-expanded', String(open));
    card.bodyBox.hidden = !open;
    if (!open) { // what nobody looks at is neither drawn nor kept current
      card.body?.destroy?.();
      card.body = null;
      card.shown = null;
      card.bodyBox.replaceChildren();
      delete this.parts[key];
      return;
    }
    if (!(key in this.parts)) {
      if (!card.body) card.bodyBox.replaceChildren(h('span', { class: 'skeleton wide' }), h('span', { class: 'skeleton' }));
      return;
    }
    const told = JSON.stringify(this.parts[key]);
    if (card.shown === told) return;
    card.shown = told;
    keepingFocus(card.bodyBox, () => {
      if (!card.body) {
        card.bodyBox.replaceChildren();
        card.body = bodies[key](this, card.bodyBox);
      }
      card.body.show(this.parts[key]);
    });
  }

  showHead() {
    const { head } = this.parts;
    const icons = KINDS.map(([kind, title]) => {
      const icon = stateIcon(HEALTH[head.health[kind]], `${title}: ${HEALTH[head.health[kind]].word}`);
      icon.dataset.monitor = kind;
      icon.dataset.customer = this.id;
      icon.dataset.keep = `icon ${kind}`;
      icon.tabIndex = 0;
      return h('span', { class: 'customer-signal' }, glyph(kind), icon);
    });
    const { console: door } = head;
    const button = door.url
      ? h('form', { method: 'post', action: door.url, target: '_blank', rel: 'noopener', class: 'console-door' }, h('button', { type: 'submit', class: 'button', 'data-keep': 'console' }, 'Admin Console', shape('external')))
      : h('span', { class: 'button', role: 'button', 'aria-disabled': 'true', tabindex: '0', 'data-keep': 'console', 'data-why': door.why, 'aria-label': `Admin Console is off: ${door.why}`, onfocus: (e) => this.tips.say(e.target, door.why), onpointerenter: (e) => this.tips.say(e.target, door.why), onpointerleave: () => this.tips.hide(), onblur: () => this.tips.hide() }, 'Admin Console');
    const edit = this.may('customer.change') && h('button', { class: 'button plain', type: 'button', 'data-keep': 'edit facts', onclick: () => editFacts(this) }, 'Edit');
    keepingFocus(this.head, () => this.head.replaceChildren(
      h('div', { class: 'customer-name' }, h('h1', {}, head.name), edit || ''),
      h('div', { class: 'customer-facts' },
        h('span', {}, h('span', { class: 'mono', title: 'Account code' }, head.account_code), head.code_is_provisional && h('span', { class: 'code-mark', title: 'Until the vendor has given the account’s own code' }, 'provisional')),
        h('span', {}, h('a', { href: head.list_href, title: `The list it is in: ${head.list}`, 'data-keep': 'list' }, head.status), head.end && !head.closed && h('a', { class: 'code-mark', href: '#orders', title: `${head.end.number}: see Orders`, 'data-keep': 'end mark', onclick: () => setTimeout(() => this.goToHash()) }, head.end.mark)),
        head.tags.length ? h('span', { class: 'customer-tags', role: 'group', 'aria-label': 'Tags' }, ...head.tags.map((tag) => h('span', { class: 'chip' }, tag))) : '',
        h('span', {}, h('span', { class: 'quiet' }, 'Your role '), head.role,
          this.may('access.grant') && h('button', { class: 'button plain small', type: 'button', 'data-keep': 'access', onclick: () => manageAccess(this) }, 'Manage access'))),
      h('div', { class: 'customer-signals', role: 'group', 'aria-label': 'Signals' }, ...icons), head.closed ? '' : button, this.leaveButton(head)));
    this.showEnd(head);
  }

  // That the customer is closed, or is going to be. It is drawn anew only where it says something else: it is read aloud.
  showEnd({ closed, end }) {
    const told = JSON.stringify([closed, end]);
    if (this.toldEnd === told) return;
    this.toldEnd = told;
    const because = (text) => (text ? [' – ', h('bdi', {}, text.replace(/\.$/, ''))] : []);
    const again = () => setTimeout(() => this.goToHash()); // also where the address does not change
    const orders = () => h('a', { href: '#orders', 'data-keep': 'end orders', onclick: again }, 'See Orders');
    const needed = end?.wants_export ? h('b', {}, 'Data export required. ') : end?.exported ? 'The data were handed over. ' : '';
    this.endBox.hidden = !closed && !end;
    keepingFocus(this.endBox, () => this.endBox.replaceChildren(...(closed ? [h('b', {}, `${closed.closing}. `), `Closed on ${day(closed.at)}`, ...because(closed.because), '. ', needed, 'Nothing is watched any more; everything that was is kept. ', end ? orders() : '']
      : end ? [h('b', {}, end.number), ` ${end.says}`, ...because(end.because), '. ', needed || 'No data export. ', `${end.told} `, orders()] : [])));
  }

  // What was done on the page that led here (assets/ordering.js); filled in once it is there, so that it is read aloud.
  sayWhatWasDone() {
    const key = `${this.config.me} said ${this.id}`;
    const said = recall(key);
    if (!said || !this.cards.orders) return;
    remember(key, null);
    const box = h('p', { class: 'notice fold-said', role: 'status', dir: 'auto' });
    this.cards.orders.head.parentElement.after(box);
    setTimeout(() => box.append(shape('done'), h('span', {}, said)), 300);
  }

  // Cancelling: off, with the day from which it will be possible, until it is.
  leaveButton({ leaving, closed }) {
    if (closed || !leaving || !this.may('order.submit')) return '';
    if (!leaving.possible) return h('span', { class: 'button', role: 'button', 'aria-disabled': 'true', tabindex: '0', 'data-keep': 'cancel', 'data-why': leaving.why, 'aria-label': `Cancellation is off: ${leaving.why}`, onfocus: (e) => this.tips.say(e.target, leaving.why), onpointerenter: (e) => this.tips.say(e.target, leaving.why), onpointerleave: () => this.tips.hide(), onblur: () => this.tips.hide() }, 'Cancellation');
    return h('button', { class: 'button', type: 'button', 'data-keep': 'cancel', onclick: () => this.leave() }, 'Cancellation');
  }

  async leave() {
    try {
      await cancelCustomer({ me: this.config.me, id: this.id, name: this.parts.head.name }, () => this.ask(['head', 'recent', 'gist orders', ...(this.opened.has('orders') ? ['orders'] : [])]));
    } catch (error) { openText('Cancellation', h('p', { role: 'alert' }, error.message)); }
  }

  showRecent() {
    const { recent } = this.parts;
    this.recent.replaceChildren(...(recent.length ? recent.map((entry) => h('li', { class: entry.milestone ? 'is-milestone' : '' },
      h('span', { class: 'recent-what' }, entry.erased ? h('em', {}, 'Erased on request') : entry.summary),
      h('span', { class: 'quiet small' }, when(entry.at), ` · ${entry.actor || 'Portal'}`))) : [h('li', { class: 'quiet' }, 'Nothing has happened yet.')]));
  }

  showContacts() { keepingFocus(this.contacts, () => contactsPanel(this, this.contacts, this.parts.contacts)); }

  showTimes() {
    for (const time of this.root.querySelectorAll('time[data-at]')) {
      const text = spoken(Number(time.dataset.at));
      if (time.textContent !== text) time.textContent = text;
    }
  }

  goToHash() {
    const key = location.hash.slice(1);
    if (!(key in this.cards)) return;
    this.setOpen(key, true);
    const show = () => this.cards[key].box.scrollIntoView({ block: 'start' });
    show();
    this.cards[key].head.focus({ preventScroll: true });
    // What is above may still be growing; whoever moves meanwhile has other plans.
    this.stayThere?.disconnect();
    const stay = (this.stayThere = new ResizeObserver(show));
    stay.observe(this.root.querySelector('.customer-cards'));
    for (const event of ['wheel', 'pointerdown', 'keydown', 'touchstart']) this.root.firstChild.addEventListener(event, () => stay.disconnect(), { once: true, passive: true });
    setTimeout(() => stay.disconnect(), 2000);
  }

  // -- keeping it current ---------------------------------------------------------------------------------------------

  touched(parts) {
    const all = parts.includes('all');
    const wanted = [];
    if (all || parts.some((part) => ['facts', 'connect', 'rfi', 'monitor', 'access', 'orders'].includes(part))) wanted.push('head');
    if (all || parts.includes('history')) wanted.push('recent');
    if (all || parts.includes('contacts')) wanted.push('contacts');
    for (const { key, shows } of Object.values(this.cards)) {
      if (all || shows.some((part) => parts.includes(part))) {
        wanted.push(`gist ${key}`);
        if (this.opened.has(key)) wanted.push(key);
      }
    }
    this.ask(wanted);
  }

  ask(parts) {
    parts.forEach((part) => this.dirty.add(part));
    if (this.asking || !this.dirty.size) return;
    const rest = PAUSE - (performance.now() - (this.askedAt || -PAUSE));
    clearTimeout(this.askSoon);
    if (rest > 0) this.askSoon = setTimeout(() => this.load(), rest);
    else this.load();
  }

  // One request at a time: an answer never overtakes a newer one.
  async load() {
    if (this.asking || !this.root.isConnected) return;
    this.asking = true;
    this.askedAt = performance.now();
    const wanted = [...this.dirty];
    this.dirty.clear();
    let failed = false;
    try {
      const found = await read(await fetch(`${this.address}/parts?want=${encodeURIComponent(wanted.join(','))}`, { cache: 'no-store', signal: AbortSignal.timeout(15000) }));
      this.take(found);
      this.old('');
    } catch (error) {
      failed = error;
      wanted.forEach((part) => this.dirty.add(part));
      if (error.status === 404) return this.gone();
      if (error.status === 401) return void live.leave();
      if (error.status) this.old(`What is shown here may be old: ${error.message}`); // where nobody answers, the live dot says so
    } finally {
      this.asking = false;
    }
    if (failed && isRefused(failed)) return; // the same question would get the same answer: whatever changes asks anew
    if (this.dirty.size && this.root.isConnected) this.askSoon = setTimeout(() => this.load(), failed ? TRY_AGAIN : PAUSE);
  }

  old(text) {
    if (this.notice.textContent !== text) this.notice.textContent = text;
    this.notice.hidden = !text;
  }

  take(found) {
    Object.assign(this.parts, found);
    if (found.head) {
      this.showHead();
      this.follow(found.head.rights);
    }
    if (found.recent) this.showRecent();
    if (found.contacts) this.showContacts();
    for (const key of Object.keys(this.cards)) if (key in found || `gist ${key}` in found) this.showCard(key);
    if ('gist history' in found) this.cards.history.body?.renew?.();
  }

  // What the page offers follows what the person may do by now.
  follow(rights) {
    if (JSON.stringify(rights) === JSON.stringify(this.config.rights)) return;
    this.config.rights = rights;
    this.showHead();
    this.showContacts();
    for (const [key, card] of Object.entries(this.cards)) {
      card.body?.destroy?.();
      card.body = card.shown = null;
      card.bodyBox.replaceChildren();
      this.showCard(key);
    }
  }

  gone() {
    this.dirty.clear();
    live.watch(null);
    this.undo.splice(0).forEach((undo) => undo());
    this.notice.textContent = 'This customer is not here any more, or not yours to see. What you have typed is still on the page.';
    this.notice.hidden = false;
    this.root.querySelector('.customer-cards').remove();
    this.root.querySelector('.customer-rail').remove();
    this.endBox.hidden = true;
    this.head.replaceChildren(h('h1', {}, 'Customer'), h('a', { href: '/' }, 'To the dashboard'));
  }
}

// Draw anew without the focus jumping to the top: it goes back to what has the same `data-keep`, or to the card's heading.
function keepingFocus(box, draw) {
  const focused = box.contains(document.activeElement) ? document.activeElement.dataset.keep : null;
  draw();
  if (focused && !box.contains(document.activeElement)) (box.querySelector(`[data-keep="${CSS.escape(focused)}"]`) || box.closest('.fold')?.querySelector('.fold-head'))?.focus({ preventScroll: true });
}

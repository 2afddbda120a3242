// The search over everything: one dialog over customers in every list, pages, actions and help. Loaded when it is first
// asked for (shell.js). A combobox: the focus stays in the box, arrows walk through what was found.
import { h, live } from './live.js';
import { read } from './tips.js';
import { HEALTH, shape, stateIcon } from './icons.js';

const PAUSE = 60; // ms without a key before the server is asked
const LATE = 300; // ms after which it is said that the search goes on
const PLACES = 6; // of a group of pages, actions or articles that match; all groups but these are short
const LISTS = { in_progress: 'In Progress', complete: 'Complete', waiting: 'Waiting for RFI', closed: 'Closed' };
const ICONS = { Pages: 'page', Actions: 'action', Help: 'help' };

let open = null;

export function show() {
  if (open) return open.close();
  if (document.querySelector('dialog[open]')) return; // a form is being filled in: it is not to be left unseen
  open = new Find();
}

class Find {
  constructor() {
    this.opener = document.activeElement;
    this.asked = 0;
    this.chosen = -1;
    this.places = [];
    this.recent = [];
    this.customers = [];
    this.prospects = [];
    this.box = h('input', {
      type: 'text', inputmode: 'search', enterkeyhint: 'go', class: 'find-box', role: 'combobox', 'aria-expanded': 'true', 'aria-controls': 'find-list', 'aria-autocomplete': 'list',
      'aria-label': 'Find customers, pages and actions', placeholder: 'A customer, a page, something to do …', autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false', maxlength: 100,
    });
    this.list = h('div', { class: 'find-list', id: 'find-list', role: 'listbox', 'aria-label': 'Found' });
    this.said = h('p', { class: 'find-said', role: 'status' });
    this.dialog = h('dialog', { class: 'dialog find', 'aria-label': 'Find anything' },
      h('div', { class: 'find-head' }, shape('search'), this.box, h('button', { class: 'button small plain', type: 'button', onclick: () => this.close() }, 'Close')),
      this.list, this.said,
      h('p', { class: 'find-keys quiet small', 'aria-hidden': 'true' }, h('kbd', {}, '↑'), h('kbd', {}, '↓'), ' choose ', h('kbd', {}, 'Enter'), ' open ', h('kbd', {}, 'Ctrl Enter'), ' in a new tab ', h('kbd', {}, 'Esc'), ' close'));
    this.box.addEventListener('input', () => this.typed());
    this.dialog.addEventListener('keydown', (event) => this.key(event));
    this.list.addEventListener('click', (event) => this.clicked(event));
    this.list.addEventListener('pointermove', (event) => this.point(event.target.closest('[role=option]')));
    this.list.addEventListener('pointerdown', (event) => event.preventDefault()); // the focus stays in the box
    this.dialog.addEventListener('pointerdown', (event) => event.target === this.dialog && this.close());
    this.dialog.addEventListener('close', () => this.closed());
    document.body.append(this.dialog);
    this.dialog.showModal();
    this.box.focus();
    this.draw();
    this.begin();
  }

  close() { this.dialog.close(); }

  closed() {
    open = null;
    this.asked = -1;
    clearTimeout(this.soon);
    clearTimeout(this.late);
    this.running?.abort();
    this.dialog.remove();
    if (!this.left && this.opener?.isConnected) this.opener.focus();
  }

  // -- asking ---------------------------------------------------------------------------------------------------------

  // What there is before anything is typed. Asked anew each time: rights and names change.
  async begin() {
    try {
      const found = await fetch(`/api/ui/find?recent=${kept().join(',')}`, { cache: 'no-store', signal: AbortSignal.timeout(10000) }).then(read);
      this.places = found.places;
      this.recent = found.customers;
      if (this.asked >= 0) this.draw();
    } catch (error) {
      if (error.status === 401) return live.leave();
      if (this.asked === 0) this.say('Pages and actions cannot be read just now.');
    }
  }

  typed() {
    const mine = ++this.asked;
    clearTimeout(this.soon);
    clearTimeout(this.late);
    this.running?.abort();
    if (!this.text()) {
      this.customers = this.prospects = [];
      this.trouble = '';
      this.waiting = false;
      return this.draw();
    }
    this.waiting = true;
    this.draw(); // pages and actions at once; the customers of the letters before stay until the new ones are here
    this.late = setTimeout(() => mine === this.asked && this.say('Searching …'), LATE);
    this.soon = setTimeout(() => this.ask(mine), PAUSE);
  }

  async ask(mine) {
    this.running = new AbortController();
    const asked = this.text();
    try {
      const signal = AbortSignal.any ? AbortSignal.any([this.running.signal, AbortSignal.timeout(10000)]) : this.running.signal;
      const { customers, prospects } = await fetch(`/api/ui/find?q=${encodeURIComponent(asked)}`, { cache: 'no-store', signal }).then(read);
      if (mine !== this.asked) return; // something else has been typed since
      this.customers = customers;
      this.prospects = prospects;
      this.trouble = '';
    } catch (error) {
      if (mine !== this.asked) return;
      if (error.status === 401) return live.leave();
      this.customers = this.prospects = [];
      this.trouble = 'Customers cannot be searched just now.';
    }
    clearTimeout(this.late);
    this.waiting = false;
    this.draw();
    if (this.entered?.asked === mine) this.enter(this.entered.elsewhere);
  }

  text() { return this.box.value.trim(); }

  // -- drawing --------------------------------------------------------------------------------------------------------

  draw() {
    const words = fold(this.text()).split(' ').filter(Boolean);
    const before = this.options?.[this.chosen]?.dataset.key;
    const groups = [];
    const customers = words.length ? this.customers : this.recent;
    if (customers.length) groups.push([words.length ? 'Customers' : 'Opened lately', customers.map((one) => this.customer(one, words))]);
    if (words.length && this.prospects.length) groups.push(['Prospects', this.prospects.map((one) => this.prospect(one, words))]);
    for (const name of ['Pages', 'Actions', 'Help']) {
      const mine = this.places.filter((place) => place.group === name);
      const found = words.length ? matching(mine, words).slice(0, PLACES) : name === 'Help' ? [] : mine.filter(({ part }) => !part);
      if (found.length) groups.push([name, found.map((place) => this.place(place, words))]);
    }
    // A page or an action whose name begins as was typed is what is looked for more likely than any customer.
    if (words.length > 0) groups.sort(([, a], [, b]) => b.some((o) => o.dataset.sure) - a.some((o) => o.dataset.sure));
    this.options = groups.flatMap(([, options]) => options);
    this.options.forEach((option, index) => { option.id = `find-${index}`; });
    this.list.replaceChildren(...groups.map(([title, options], index) => h('div', { role: 'group', 'aria-labelledby': `find-group-${index}` },
      h('div', { class: 'nav-group', id: `find-group-${index}` }, title), ...options)));
    if (this.trouble) this.list.append(h('p', { class: 'find-trouble', role: 'alert' }, shape('bad'), h('span', {}, this.trouble), h('button', { class: 'button small', type: 'button', onclick: () => this.typed() }, 'Try again')));
    this.list.hidden = !this.options.length && !this.trouble;
    const same = this.moved ? this.options.findIndex((option) => option.dataset.key === before) : -1;
    this.choose(same >= 0 ? same : words.length && this.options.length ? 0 : -1, { moved: same >= 0 });
    const count = this.options.length;
    if (!words.length) this.say(count ? '' : 'Type part of a customer’s name, account code or domain.');
    else if (!this.waiting) this.say(count ? `${count} found` : this.trouble ? '' : `Nothing is called “${this.text()}”. The search looks in names, account codes and domains of customers and prospects, and in pages, actions and help.`, Boolean(count));
  }

  customer(one, words) {
    const state = HEALTH[one.worst];
    return h('a', { role: 'option', class: 'find-option', href: `/customers/${one.id}`, tabindex: '-1', 'data-key': `customer ${one.id}`, 'data-customer': one.id },
      stateIcon(state),
      h('span', { class: 'find-name', dir: 'auto' }, ...marked(one.name, words)),
      h('span', { class: 'find-more quiet' }, ...marked(one.code, words), one.is_provisional && [' ', h('span', { class: 'code-mark' }, 'provisional')], one.domain && ' · ', ...marked(one.domain, words)),
      h('span', { class: 'find-side quiet' }, h('span', { class: `tone-${state.tone}`, 'aria-hidden': 'true' }, state.word), h('span', { class: 'find-list-name' }, LISTS[one.listing] || '')));
  }

  prospect(one, words) {
    return h('a', { role: 'option', class: 'find-option', href: `/prospects/${one.id}`, tabindex: '-1', 'data-key': `prospect ${one.id}` },
      shape('empty'),
      h('span', { class: 'find-name', dir: 'auto' }, ...marked(one.name, words)),
      h('span', { class: 'find-more quiet' }, ...marked(one.domain, words)),
      h('span', { class: 'find-side quiet' }, h('span', {}, one.state), h('span', { class: 'find-list-name' }, 'Prospect')));
  }

  place(place, words) {
    const inside = [shape(ICONS[place.group]), h('span', { class: 'find-name' }, ...marked(place.title, words))];
    const sure = words.length && fold(place.title.split(' | ').pop()).startsWith(words.join(' ')) && words.join('').length > 1;
    const shared = { role: 'option', class: 'find-option', tabindex: '-1', 'data-key': `${place.group} ${place.title}`, 'data-sure': sure ? 'yes' : null };
    if (!place.href) return h('button', { ...shared, type: 'button', 'data-does': place.does }, ...inside);
    const outside = /^https?:/.test(place.href);
    return h('a', { ...shared, href: place.href, target: outside ? '_blank' : null, rel: outside ? 'noopener' : null }, ...inside);
  }

  say(text, quiet = false) {
    this.said.textContent = text;
    this.said.classList.toggle('sr-only', quiet || !text);
  }

  // -- choosing -------------------------------------------------------------------------------------------------------

  choose(index, { moved = true, scroll = true } = {}) {
    this.chosen = index;
    this.moved = moved && index >= 0;
    this.options.forEach((option, at) => option.setAttribute('aria-selected', String(at === index)));
    const option = this.options[index];
    option ? this.box.setAttribute('aria-activedescendant', option.id) : this.box.removeAttribute('aria-activedescendant');
    if (!scroll || !option) return;
    if (index === 0) this.list.scrollTop = 0; // with the heading above it
    else option.scrollIntoView({ block: 'nearest' });
  }

  point(option) {
    const index = this.options.indexOf(option);
    if (index >= 0 && index !== this.chosen) this.choose(index, { scroll: false });
  }

  key(event) {
    const last = this.options.length - 1;
    const to = { ArrowDown: this.chosen >= last ? 0 : this.chosen + 1, ArrowUp: this.chosen <= 0 ? last : this.chosen - 1, Home: 0, End: last, PageDown: Math.min(last, this.chosen + 6), PageUp: Math.max(0, this.chosen - 6) }[event.key];
    if (event.isComposing) return;
    const inText = (event.key === 'Home' || event.key === 'End') && (event.shiftKey || (!this.moved && this.box.value));
    if (to !== undefined && !inText && !event.altKey && !event.ctrlKey && !event.metaKey && last >= 0) {
      event.preventDefault();
      this.choose(to);
    } else if (event.key === 'Enter' && event.target === this.box) {
      event.preventDefault();
      this.enter(event.ctrlKey || event.metaKey);
    }
  }

  // What is chosen, or – where the answer to what was typed is still on its way – what will be the first of it.
  enter(elsewhere) {
    const option = this.options[this.chosen];
    if (this.waiting && !this.moved && !option?.dataset.sure) this.entered = { elsewhere, asked: this.asked };
    else if (elsewhere && option?.href) window.open(option.href, '_blank', 'noopener');
    else option?.click();
  }

  clicked(event) {
    const option = event.target.closest('[role=option]');
    if (!option) return;
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // another tab: this one stays as it is
    this.left = Boolean(option.href) && option.target !== '_blank';
    const does = option.dataset.does;
    if (option.hash && option.pathname === location.pathname) {
      event.preventDefault(); // a part of this very page, which nothing can put the focus into while the dialog is open
      this.close();
      if (location.hash === option.hash) dispatchEvent(new HashChangeEvent('hashchange'));
      else location.hash = option.hash;
      return;
    }
    setTimeout(() => this.close()); // after whoever opens links has seen where this one leads
    if (does === 'sign out') document.querySelector('form[action="/logout"]')?.requestSubmit();
    else if (does) document.querySelector(`[data-choose-theme="${does.split(' ')[1]}"]`)?.click();
  }

}

// The customers that were opened lately in this browser (shell.js): ids only, which the server checks again.
function kept() {
  try { return JSON.parse(localStorage.portalOpened || '[]').filter(Number.isInteger); } catch { return []; }
}

// -- matching as the server does (models/text.py) -------------------------------------------------------------------------

const LETTERS = { ß: 'ss', ø: 'o', đ: 'd', ł: 'l', æ: 'ae', œ: 'oe', ð: 'd', þ: 'th', ı: 'i' };

export function fold(text) {
  const plain = text.normalize('NFKD').toLowerCase().normalize('NFKD').replace(/\p{M}/gu, '');
  return plain.replace(/[ßøđłæœðþı]/g, (letter) => LETTERS[letter]).replace(/\s+/g, ' ').trim();
}

function matching(places, words) {
  const scored = places.map((place) => {
    const title = fold(place.title);
    const all = `${title} ${place.words || ''}`;
    if (!words.every((word) => all.includes(word))) return null;
    const begins = ` ${title}`.includes(` ${words.join(' ')}`) ? 0 : words.every((word) => title.includes(word)) ? 1 : 2;
    return { place, begins };
  }).filter(Boolean);
  return scored.sort((a, b) => a.begins - b.begins).map(({ place }) => place);
}

// The text with what was typed marked, also where an accent or a capital differs.
export function marked(text, words) {
  if (!text || !words.length) return text ? [text] : [];
  const letters = [...text];
  let folded = '';
  const from = []; // of each folded letter: which letter it came from
  letters.forEach((letter, index) => {
    const part = letter === ' ' ? ' ' : fold(letter);
    for (let n = 0; n < part.length; n++) from.push(index);
    folded += part;
  });
  const hit = new Array(letters.length).fill(false);
  for (const word of words) {
    for (let at = folded.indexOf(word); at >= 0; at = folded.indexOf(word, at + word.length)) for (let n = at; n < at + word.length; n++) hit[from[n]] = true;
  }
  const parts = [];
  letters.forEach((letter, index) => {
    const last = parts[parts.length - 1];
    if (last && last.hit === hit[index]) last.text += letter;
    else parts.push({ hit: hit[index], text: letter });
  });
  return parts.map((part) => (part.hit ? h('mark', {}, part.text) : part.text));
}

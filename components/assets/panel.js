// What pages of a list with a panel about one entry share (users, mail): a dialog that says what the server says of the
// entry and asks again whenever that may have changed, and the hash of the address, which names the entry.
import { h } from './live.js';
import { Asking } from './asking.js';

// About one entry: `address` is where it is read, `none` what is said where there is none. Whoever extends it draws.
export class Panel {
  constructor(name, address, none, closed) {
    this.none = none;
    this.opener = document.activeElement;
    this.title = h('h2', { id: `${name}-title` }, ' ');
    this.body = h('div', { class: 'person-body' }, h('span', { class: 'skeleton' }), h('span', { class: 'skeleton' }));
    const close = h('button', { class: 'icon-button', type: 'button', 'aria-label': 'Close', onclick: () => this.box.close() }, '✕');
    this.box = h('dialog', { class: 'dialog person', 'aria-labelledby': `${name}-title` }, h('div', { class: 'person-head' }, this.title, close), this.body);
    this.asking = new Asking(address, { found: (answer) => this.show(answer), failed: (error) => this.cannot(error) });
    this.box.addEventListener('close', () => {
      this.asking.stop();
      this.ended();
      this.box.remove();
      closed();
      if (this.opener?.isConnected) this.opener.focus();
    });
    this.box.addEventListener('click', (event) => event.target === this.box && this.box.close()); // beside it
    document.body.append(this.box);
    this.box.showModal();
    this.load();
  }

  load() { return this.asking.load(); }

  ended() {}

  // Drawn anew only where something is different; who had a button there has it again.
  show(answer) {
    const said = JSON.stringify(answer);
    if (said === this.said) return;
    this.said = said;
    this.told = null;
    const kept = this.body.contains(document.activeElement) ? document.activeElement.dataset.keep || '' : null;
    this.draw(answer);
    if (this.trouble) this.body.prepend(this.trouble);
    if (kept !== null) (kept && this.body.querySelector(`[data-keep="${CSS.escape(kept)}"]`) || this.box.querySelector('button')).focus();
    else if (!this.drawn) (this.body.querySelector('button') || this.box.querySelector('button')).focus();
    this.drawn = true;
  }

  // Said once, however often it fails: whoever is about to press the button keeps it.
  cannot(error) {
    const none = error.status === 404 || error.status === 403;
    const text = none ? this.none.text : `This cannot be read just now: ${error.message}`;
    this.said = null;
    if (text === this.told) return;
    this.told = text;
    const focused = this.body.contains(document.activeElement);
    if (none) this.title.textContent = this.none.title;
    this.body.replaceChildren(this.trouble || '', h('p', { class: 'notice bad', role: 'alert' }, text),
      none ? '' : this.button('Try again', 'again', () => this.load()));
    if (focused) (this.body.querySelector('button') || this.box.querySelector('button')).focus();
  }

  button(text, key, act, more = {}) { return h('button', { class: 'button small', type: 'button', 'data-keep': key, ...more, onclick: act }, text); }

  // Do something at once, and one thing at a time. What cannot be is said in the panel, and stays there until something
  // else is done, however often the panel is drawn anew.
  async act(button, work) {
    if (this.acting) return;
    this.acting = true;
    button?.setAttribute('aria-busy', 'true');
    this.trouble?.remove();
    this.trouble = null;
    try {
      await work();
    } catch (error) {
      this.trouble = h('p', { class: 'notice bad person-trouble', role: 'alert' }, error.message);
      this.body.prepend(this.trouble);
    } finally {
      this.acting = false;
      button?.removeAttribute('aria-busy');
    }
    this.load();
  }
}

// The entry that the address names: links in `root` to `/page#7` and the hash itself open it with `make(7, closed)`.
export class Named {
  constructor(root, path, make, others = {}) {
    Object.assign(this, { root, make, others });
    this.onClick = (event) => {
      const link = event.target.closest?.(`a[href^="${path}#"]`);
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      event.stopPropagation();
      this.show(Number(link.hash.slice(1)));
    };
    root.addEventListener('click', this.onClick, true);
    this.onHash = () => this.go();
    addEventListener('hashchange', this.onHash);
  }

  destroy() {
    this.root.removeEventListener('click', this.onClick, true);
    removeEventListener('hashchange', this.onHash);
    const { panel } = this;
    this.panel = this.id = null; // the address is another page's by the time the dialog says that it is closed
    panel?.box.close();
  }

  go() {
    const wanted = location.hash.slice(1);
    if (/^\d{1,9}$/.test(wanted)) this.show(Number(wanted));
    else this.others[wanted]?.();
  }

  say(text) { history.replaceState(history.state, '', location.pathname + location.search + text); }

  show(id) {
    if (this.id === id) return;
    this.panel?.box.close();
    this.say(`#${id}`);
    this.id = id;
    const panel = this.make(id, () => {
      if (this.panel !== panel) return; // another one is open meanwhile
      this.panel = this.id = null;
      this.say('');
    });
    this.panel = panel;
  }
}

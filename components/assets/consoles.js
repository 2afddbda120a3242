// The connections to Administration Consoles: where they are, and who proves to them who comes.
import { h, live, number } from './live.js';
import { openForm, send } from './dialog.js';
import { read, reasonOf } from './tips.js';

export function mountConsoles(root) {
  const section = new Consoles(root);
  return { destroy: () => section.destroy() };
}

class Consoles {
  constructor(root) {
    this.list = h('ul', { class: 'access-holders', 'aria-label': 'Consoles' });
    this.trouble = h('p', { class: 'form-error', role: 'alert', hidden: true });
    root.append(h('section', { class: 'card consoles', 'aria-labelledby': 'consoles-title' },
      h('div', { class: 'card-head' }, h('h2', { id: 'consoles-title' }, 'Consoles'),
        h('button', { class: 'button', type: 'button', 'data-keep': 'add console', onclick: () => this.edit() }, 'Add a console')),
      h('p', { class: 'quiet' }, 'A customer has the vendor’s own console unless one of these is chosen for it (on its page, under Manage access). Consoles that take a signed assertion find the portal’s keys at ',
        h('a', { href: '/.well-known/jwks.json', target: '_blank', rel: 'noopener' }, `${location.origin}/.well-known/jwks.json`), '.'),
      this.trouble, this.list));
    this.undo = [live.news(() => this.load())];
    this.load();
  }

  destroy() { this.undo.forEach((undo) => undo()); }

  async load() {
    try {
      const found = await fetch('/api/ui/consoles', { cache: 'no-store' }).then(read);
      this.trouble.hidden = true;
      const told = JSON.stringify(found);
      if (told === this.told) return;
      this.told = told;
      this.kinds = found.kinds;
      this.show(found.consoles);
    } catch (error) {
      this.trouble.textContent = `The consoles cannot be read just now: ${reasonOf(error)}`;
      this.trouble.hidden = false;
    }
  }

  show(consoles) {
    const focused = this.list.contains(document.activeElement) ? document.activeElement.dataset.keep : null;
    if (!consoles.length) return this.list.replaceChildren(h('li', { class: 'calm' }, 'None yet: every customer has the vendor’s own console.'));
    this.list.replaceChildren(...consoles.map((one) => h('li', {},
      h('div', { class: 'access-who' }, h('b', { dir: 'auto' }, one.name), h('span', { class: 'quiet small' }, one.sign_on_title, ` · ${number(one.customers)} ${one.customers === 1 ? 'customer' : 'customers'}`)),
      h('div', { class: 'access-what' }, h('span', { class: 'mono' }, one.address || 'The address is each customer’s own'), one.audience && h('span', { class: 'quiet small' }, 'audience ', h('span', { class: 'mono' }, one.audience))),
      h('div', { class: 'access-acts' },
        h('button', { class: 'button small', type: 'button', 'data-keep': `edit console ${one.id}`, 'aria-label': `Edit ${one.name}`, onclick: () => this.edit(one) }, 'Edit'),
        h('button', { class: 'button small', type: 'button', 'data-keep': `remove console ${one.id}`, 'aria-label': `Remove ${one.name}`, onclick: () => this.remove(one) }, 'Remove')))));
    if (focused) this.list.querySelector(`[data-keep="${CSS.escape(focused)}"]`)?.focus();
  }

  edit(one) {
    openForm({
      title: one ? `Edit ${one.name}` : 'Add a console', button: one ? 'Save' : 'Add',
      fields: [
        { name: 'name', label: 'Name', value: one?.name, longest: 80 },
        { name: 'sign_on', label: 'Sign-on', kind: 'choice', choices: this.kinds || [], value: one?.sign_on || 'assertion', help: 'Signed assertion: the portal proves who comes. The vendor’s own: people sign in there themselves.' },
        { name: 'address', label: 'Address', value: one?.address, help: 'Where assertions are posted to, beginning with https://. Not for the vendor’s own sign-on.' },
        { name: 'audience', label: 'Audience', value: one?.audience, help: 'What the console calls itself (aud), as its documentation says.' },
      ],
      store: async (values) => {
        await send('POST', one ? `/api/ui/consoles/${one.id}` : '/api/ui/consoles', { facts: values });
        await this.load();
      },
    });
  }

  remove(one) {
    openForm({
      title: `Remove ${one.name}?`, button: 'Remove', danger: true, fields: [],
      about: one.customers ? `${number(one.customers)} ${one.customers === 1 ? 'customer uses' : 'customers use'} it, and will have the vendor’s own console again.` : 'No customer uses it.',
      store: async () => {
        await send('POST', `/api/ui/consoles/${one.id}/remove`, {});
        await this.load();
      },
    });
  }
}

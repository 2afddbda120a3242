// An administrator who holds no role in any console is offered to take it everywhere, by the generic account: how an MSP
// begins. Shown on the dashboard and above the page of roles, and gone once it is done.
import { h, live } from './live.js';
import { openForm, openText, send } from './dialog.js';
import { read } from './tips.js';

export function mount(root) {
  const offer = new Offer(root);
  return { destroy: () => offer.destroy() };
}

export class Offer {
  constructor(root, taken = () => {}) {
    this.box = h('div', { class: 'notice access-offer', hidden: true },
      h('p', {}, h('b', {}, 'You hold no role in your customers’ consoles.'), ' The generic administration account holds Partner Administrator at every customer and can grant it to you; after that you can grant it to your colleagues.'),
      h('button', { class: 'button', type: 'button', 'data-keep': 'take everywhere', onclick: () => this.take() }, 'Take Partner Administrator everywhere'));
    this.taken = taken;
    root.append(this.box);
    this.undo = [live.on('again', () => this.load()), live.on('state', (state) => state === 'live' && this.load())];
    this.load();
  }

  destroy() { this.undo.forEach((undo) => undo()); }

  async load() {
    try {
      this.box.hidden = !(await fetch('/api/ui/access/begin', { cache: 'no-store' }).then(read)).begin;
    } catch { /* asked again when the page is live */ }
  }

  take() {
    openForm({
      title: 'Take Partner Administrator everywhere', button: 'Take the role',
      about: 'You get it at each of your customers where no administrator holds it. The generic administration account grants it on your behalf; each customer’s history says so, with your reason.',
      fields: [{ name: 'reason', label: 'Reason', longest: 200, help: 'Such as: set-up of the portal.' }],
      store: async (values) => {
        const answer = await send('POST', '/api/ui/access/begin', values, 120000);
        this.load();
        this.taken();
        setTimeout(() => openText('Console access', h('p', { role: 'status' }, answer.said))); // once the form is closed
      },
    });
  }
}

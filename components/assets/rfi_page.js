// The RFI form inside the portal: the same form, kept current by the live socket, and what the MSP's people do about it.
import { h, live } from './live.js';
import { RfiForm, ask } from './rfi_form.js';
import { linkActions, reopenForm } from './rfi_links.js';

const EVERY = 15000; // ms between two looks, should the socket have missed something

export function mount(root, config) {
  const page = new RfiPage(root, config);
  return { destroy: () => page.destroy() };
}

class RfiPage {
  constructor(root, config) {
    this.config = config;
    this.address = `/api/ui/customers/${config.id}/rfi`;
    this.place = h('div', {});
    this.actions = h('div', { class: 'rfi-actions' });
    root.append(h('div', { class: 'page-scroll rfi rfi-page' },
      h('div', { class: 'page-head' }, h('h1', { dir: 'auto' }, `RFI of ${config.customer}`), h('span', { class: 'grow' }), this.actions),
      h('p', {}, h('a', { class: 'back', href: `/customers/${config.id}` }, `To ${config.customer}`)), this.place));
    this.undo = [];
    if (!config.now) {
      this.place.append(h('div', { class: 'empty' }, 'This customer has no RFI form.'));
      return;
    }
    this.form = new RfiForm(this.place, { ...config, canFill: config.may.fill, inside: true }, {
      answers: (body, more) => ask('POST', `${this.address}/answers`, body, more),
      submit: (body) => ask('POST', `${this.address}/submit`, body),
      check: () => ask('POST', `${this.address}/check`, {}),
      domains: () => ask('GET', `${this.address}/domains`),
      now: async () => (await ask('GET', this.address)).now,
    }, { onState: () => this.showActions() });
    this.showActions();
    live.watch('customer', config.id);
    this.undo.push(
      live.on('customer', ({ id, parts }) => id === config.id && (parts.includes('rfi') || parts.includes('all')) && this.form.renew()),
      live.on('again', () => this.form.renew()),
    );
    const timer = setInterval(() => !document.hidden && this.form.renew(), EVERY);
    this.undo.push(() => clearInterval(timer), () => live.watch(null), () => this.form.destroy());
  }

  destroy() { this.undo.forEach((undo) => undo()); }

  showActions() {
    const { may } = this.config;
    const now = this.form?.now || this.config.now;
    const told = `${now.state}`;
    if (this.told === told) return;
    this.told = told;
    this.actions.replaceChildren(...[
      now.is_open && may.send && linkActions(this.address, { recipient: this.config.sent_to || '' }),
      now.state === 'complete' && may.reopen && h('button', { class: 'button', type: 'button', onclick: () => reopenForm(this.address, () => this.form.renew()) }, 'Reopen'),
    ].flat().filter(Boolean));
  }
}

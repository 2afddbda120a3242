// The form for a new customer: what is wrong stands beside its field, and what was typed outlives a reload.
import { h } from './live.js';
import { hold, send, worded, wrongFields } from './dialog.js';
import { recall, remember } from './drafts.js';

const DRAFT = 'new customer';
const FIELDS = [
  ['name', 'Name', 'The customer’s full name.', { maxlength: 200 }],
  ['account_code', 'Account code', 'Without spaces. No two customers have the same one.', { maxlength: 40, spellcheck: 'false', autocapitalize: 'characters' }],
  ['domain', 'Domain', 'The main e-mail domain, such as example.com. May be left empty.', { maxlength: 253, spellcheck: 'false', autocapitalize: 'none', inputmode: 'url' }],
  ['seats', 'Licences', 'A whole number. The thresholds of the queues follow from it.', { maxlength: 12, inputmode: 'numeric' }],
  ['contract_start', 'Contract since', 'The day on which the contract began: renewals and cancelling go by it. May be left empty, and said later.', { type: 'date' }],
  ['console_url', 'Admin Console address', 'Where the customer’s Administration Console is, if it has one of its own. May be left empty.', { maxlength: 300, spellcheck: 'false', autocapitalize: 'none', inputmode: 'url', placeholder: 'https://' }],
];

export function mount(root, config) {
  new NewCustomer(root, config);
  return { destroy() {} };
}

class NewCustomer {
  constructor(root, config) {
    this.inputs = {};
    this.helps = {};
    this.labels = {};
    const kept = recall(DRAFT);
    const fields = FIELDS.map(([name, label, help, more]) => this.field(name, label, help,
      h('input', { type: 'text', autocomplete: 'off', dir: 'auto', ...more })));
    const type = this.field('account_type', 'Account type', '', h('select', {}, ...config.types.map(([value, title]) => h('option', { value }, title))));
    this.products = config.products.map(([code, name, kind]) => ({ code, kind, box: h('input', { type: 'checkbox', value: code, name: 'products' }), name }));
    const kinds = [...new Set(this.products.map(({ kind }) => kind))];
    const products = this.group('products', 'Products', 'What the customer bought. Which steps of Connect apply follows from it.',
      ...kinds.map((kind) => h('div', { class: 'tick-group' }, h('div', { class: 'quiet small' }, kinds.length > 1 ? `${kind}s` : ''),
        ...this.products.filter((one) => one.kind === kind).map(({ box, code, name }) => h('label', { class: 'tick' }, box, h('span', {}, code), h('span', { class: 'quiet' }, name))))));
    this.beginnings = config.beginnings.map(([key]) => h('input', { type: 'radio', name: 'begins', value: key }));
    const begins = this.group('begins', 'Where does the customer stand?', '',
      ...config.beginnings.map(([, title, about], index) => h('label', { class: 'tick' }, this.beginnings[index], h('span', {}, title, h('span', { class: 'quiet small tick-about' }, about)))));
    this.trouble = h('p', { class: 'form-error', role: 'alert', hidden: true });
    this.submit = h('button', { class: 'button primary', type: 'submit' }, 'Add the customer');
    this.form = h('form', { class: 'card page-form-card', novalidate: true }, ...fields, type, products, begins, this.trouble,
      h('div', { class: 'dialog-buttons' }, h('a', { class: 'button', href: '/customers/in-progress', onclick: () => remember(DRAFT, null) }, 'Cancel'), this.submit));
    this.form.addEventListener('submit', (event) => { event.preventDefault(); this.store(); });
    this.form.addEventListener('input', (event) => { this.clear(event.target.name); remember(DRAFT, this.values()); });
    root.append(this.form);
    this.put(kept || { account_type: 'standard', begins: 'requested', products: [] });
    this.inputs.name.focus();
  }

  field(name, label, help, input) {
    const id = `new-${name}`;
    Object.assign(input, { id, name });
    input.setAttribute('aria-describedby', `${id}-help`);
    [this.inputs[name], this.labels[name]] = [input, label];
    this.helps[name] = { text: help, element: h('p', { class: 'form-help', id: `${id}-help` }, help) };
    return h('div', { class: 'field' }, h('label', { for: id }, label), input, this.helps[name].element);
  }

  group(name, label, help, ...inside) {
    this.labels[name] = label;
    this.helps[name] = { text: help, element: h('p', { class: 'form-help', id: `new-${name}-help` }, help) };
    return h('fieldset', { class: 'field', 'aria-describedby': `new-${name}-help` }, h('legend', {}, label), this.helps[name].element, ...inside);
  }

  values() {
    return {
      ...Object.fromEntries(Object.entries(this.inputs).map(([name, input]) => [name, input.value])),
      products: this.products.filter(({ box }) => box.checked).map(({ code }) => code),
      begins: this.beginnings.find((one) => one.checked)?.value || '',
    };
  }

  put(values) {
    for (const [name, input] of Object.entries(this.inputs)) if (name in values) input.value = values[name];
    for (const { box, code } of this.products) box.checked = (values.products || []).includes(code);
    for (const one of this.beginnings) one.checked = one.value === values.begins;
  }

  clear(name) {
    const help = this.helps[name];
    if (!help) return;
    help.element.className = 'form-help';
    help.element.textContent = help.text;
    this.inputs[name]?.removeAttribute('aria-invalid');
  }

  say(error) {
    const wrong = Object.fromEntries(wrongFields(error).filter(([name]) => name in this.helps));
    const shown = Object.keys(this.labels).filter((name) => name in wrong); // as they stand on the page
    this.trouble.hidden = shown.length > 0;
    this.trouble.textContent = shown.length ? '' : error.message;
    for (const name of shown) {
      this.helps[name].element.className = 'form-error';
      this.helps[name].element.textContent = worded(this.labels[name], wrong[name]);
      this.inputs[name]?.setAttribute('aria-invalid', 'true');
    }
    if (shown.length) (this.inputs[shown[0]] || this.form.querySelector(`[name=${shown[0]}]`))?.focus();
  }

  async store() {
    if (this.submit.getAttribute('aria-busy')) return;
    this.submit.setAttribute('aria-busy', 'true');
    this.trouble.hidden = true;
    Object.keys(this.helps).forEach((name) => this.clear(name));
    const letGo = hold(this.form);
    try {
      const { id } = await send('POST', '/api/ui/customers', this.values()).finally(letGo);
      remember(DRAFT, null);
      if (!this.form.isConnected) return; // whoever has gone elsewhere meanwhile stays there
      const link = h('a', { href: `/customers/${id}`, hidden: true });
      this.form.append(link);
      link.click(); // as any link: without loading the portal anew
    } catch (error) {
      this.say(error);
    } finally {
      this.submit.removeAttribute('aria-busy');
    }
  }
}

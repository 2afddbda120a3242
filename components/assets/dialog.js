// Forms in a dialog: a label above each field, what is wrong beside it, and nothing typed is ever lost: a draft outlives
// the dialog, a reload and the end of a session, until it is stored or thrown away.
import { h } from './live.js';
import { recall, remember } from './drafts.js';

// Send JSON; gives the answer, or throws an error with `status`, `field`, `errors` (what is wrong by field) and the whole
// `answer`.
export async function send(method, address, body, patience = 20000) {
  let response;
  try {
    response = await fetch(address, {
      method, headers: { 'Content-Type': 'application/json' }, body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(patience),
    });
  } catch {
    throw Object.assign(new Error('The server does not answer. Nothing is lost: try again in a moment.'), { status: 0 });
  }
  let answer = {};
  try { answer = await response.json(); } catch { /* no JSON: the status says enough */ }
  if (response.ok) return answer;
  const text = response.status === 401 ? 'You are signed out. What you typed is kept: sign in in another tab, then try again.'
    : answer.error || `The server answered ${response.status}. Nothing was stored; what you typed is still here.`;
  throw Object.assign(new Error(text), { status: response.status, field: answer.field, errors: answer.errors, answer });
}

// What is said beside a field: a refusal that begins with a verb goes on from the field's name, any other is a sentence of
// its own.
export function worded(label, message) {
  return `${/^[a-z]/.test(message) ? `${label} ${message}` : message}.`.replace(/([.!?])\.$/, '$1');
}

// What is wrong by field, for an error of `send` or of the form itself: [field, message], none where it is about no field.
export const wrongFields = (error) => Object.entries(error.errors || (error.field ? { [error.field]: error.message } : {}));

// While a form is being sent nothing in it changes, or what is typed then would be neither in what is stored nor left to
// store. The focus stays where it is. Gives what lets go of the form again.
export function hold(form) {
  const texts = [...form.querySelectorAll('input, textarea')].filter((input) => !input.readOnly);
  const stop = (event) => {
    if (event.key === 'Tab' || event.key === 'Escape' || (event.type === 'mousedown' && texts.includes(event.target))) return;
    event.preventDefault();
    event.stopPropagation();
  };
  const kinds = ['keydown', 'beforeinput', 'mousedown', 'click'];
  for (const kind of kinds) form.addEventListener(kind, stop, { capture: true });
  for (const input of texts) input.readOnly = true;
  form.setAttribute('aria-busy', 'true');
  return () => {
    for (const kind of kinds) form.removeEventListener(kind, stop, { capture: true });
    for (const input of texts) input.readOnly = false;
    form.removeAttribute('aria-busy');
  };
}

let numbered = 0;

// A second press, while what the dialog needs is still being asked for, opens no second one.
const isOpen = (title) => [...document.querySelectorAll('dialog[open]')].some((box) => box.dataset.title === title);

// Opens a form. `fields`: {name, label, kind: text | area | choice | lines | email | tel, value, choices, longest, help};
// `store(values, was)` stores and may throw as `send` does; `was` is what stood there when a field was typed into. `draft`
// names what is kept when the dialog is left: what was typed, beside what it was typed against, so that a change that
// somebody else made meanwhile is noticed all the same. `context` is kept with it. `danger`: what is stored ends something
// that the portal cannot begin again.
export function openForm({ title, about, fields, button = 'Submit', dismiss = 'Cancel', danger = false, store, draft, context = {}, onConflict }) {
  if (isOpen(title)) return null;
  const id = `form-${++numbered}`;
  const opener = document.activeElement;
  const home = opener?.closest?.('section'); // where it was, if what was done takes it away
  const kept = recall(draft);
  const begun = { ...context };
  if (kept) Object.assign(context, kept.context);
  const fresh = Object.fromEntries(fields.map((field) => [field.name, { text: plain(field), raw: field.value ?? '' }]));
  const was = Object.fromEntries(fields.map(({ name }) => [name, kept?.fields[name]?.was ?? fresh[name]]));
  const inputs = {};
  const problems = {};
  const trouble = h('p', { class: 'form-error', role: 'alert', hidden: true });
  const more = h('div', { class: 'form-more' });
  const submit = h('button', { class: danger ? 'button primary danger' : 'button primary', type: 'submit' }, button);
  const cancel = h('button', { class: 'button', type: 'button', onclick: () => box.close() }, dismiss);
  const rows = fields.map((field, index) => {
    const [inputId, helpId] = [`${id}-${index}`, `${id}-${index}-help`];
    const input = control(field, inputId, helpId);
    setValue(input, field, kept?.fields[field.name]?.value ?? fresh[field.name].text);
    inputs[field.name] = input;
    problems[field.name] = h('p', { class: 'form-help', id: helpId }, field.help || '');
    input.addEventListener('input', () => { keep(); clear(field.name); });
    return h('div', { class: 'field' }, h('label', { for: inputId }, field.label), input, problems[field.name]);
  });
  const restored = kept && h('p', { class: 'notice' }, 'What you had typed before is still here. ',
    h('button', { class: 'button small', type: 'button', onclick: () => {
      Object.assign(was, fresh);
      Object.assign(context, begun);
      fields.forEach((field) => setValue(inputs[field.name], field, fresh[field.name].text));
      keep();
      restored.remove();
    } }, 'Start over'));
  const form = h('form', { class: 'form dialog-form', novalidate: true },
    h('h2', { id: `${id}-title` }, title), about && h('p', { class: 'quiet' }, ...[about].flat()), restored, ...rows, more, trouble,
    h('div', { class: 'dialog-buttons' }, cancel, submit));
  const box = h('dialog', { class: 'dialog', 'aria-labelledby': `${id}-title`, 'data-title': title }, form);

  const values = () => Object.fromEntries(fields.map((field) => [field.name, inputs[field.name].value]));
  const changed = () => fields.filter(({ name }) => inputs[name].value !== was[name].text);
  const keep = () => remember(draft, changed().length ? { context, fields: Object.fromEntries(changed().map(({ name }) => [name, { value: inputs[name].value, was: was[name] }])) } : null);
  const clear = (name) => {
    inputs[name].removeAttribute('aria-invalid');
    problems[name].className = 'form-help';
    problems[name].textContent = fields.find((field) => field.name === name).help || '';
  };
  const say = (error) => {
    const wrong = Object.fromEntries(wrongFields(error).filter(([name]) => name in inputs));
    const shown = fields.filter(({ name }) => name in wrong);
    trouble.hidden = shown.length > 0;
    trouble.textContent = shown.length ? '' : error.message;
    for (const { name, label } of shown) {
      problems[name].className = 'form-error';
      problems[name].textContent = worded(label, wrong[name]);
      inputs[name].setAttribute('aria-invalid', 'true');
    }
    if (shown.length) inputs[shown[0].name].focus();
  };

  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (submit.getAttribute('aria-busy')) return;
    submit.setAttribute('aria-busy', 'true');
    trouble.hidden = true;
    fields.forEach((field) => clear(field.name));
    const letGo = hold(form);
    try {
      await store(values(), was);
      remember(draft, null);
      box.close();
    } catch (error) {
      letGo(); // before anything is said: what changes in something busy is not read out
      if (error.status === 409 && onConflict) {
        more.replaceChildren(...[onConflict(error.answer, was)].flat());
        keep(); // from now on against what it says now
      }
      say(error);
    } finally {
      submit.removeAttribute('aria-busy');
    }
  });
  // What is on its way cannot be called back: whoever leaves now would never hear that it was refused.
  box.addEventListener('cancel', (event) => { if (submit.getAttribute('aria-busy')) event.preventDefault(); });
  form.addEventListener('keydown', (event) => { if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) form.requestSubmit(); });
  box.addEventListener('close', () => {
    box.remove();
    (again(opener) || (home?.isConnected && home.querySelector('button:enabled, a[href]')))?.focus?.();
  });
  document.body.append(box);
  box.showModal();
  (Object.values(inputs)[0] || submit).focus();
  return box;
}

// A dialog with something to read in it.
export function openText(title, ...content) {
  if (isOpen(title)) return;
  const opener = document.activeElement;
  const id = `form-${++numbered}`;
  const close = h('button', { class: 'button', type: 'button', onclick: () => box.close() }, 'Close');
  const box = h('dialog', { class: 'dialog', 'aria-labelledby': id, 'data-title': title },
    h('div', { class: 'dialog-form' }, h('h2', { id }, title), ...content, h('div', { class: 'dialog-buttons' }, close)));
  box.addEventListener('close', () => { box.remove(); again(opener)?.focus(); });
  document.body.append(box);
  box.showModal();
  close.focus();
}

// What had the focus; where the page was drawn anew meanwhile, what has taken its place.
const again = (opener) => (opener?.isConnected ? opener : opener?.dataset?.keep && document.querySelector(`[data-keep="${CSS.escape(opener.dataset.keep)}"]`));

function plain(field) {
  if (Array.isArray(field.value)) return field.value.join('\n');
  return field.value == null ? '' : String(field.value);
}

function control(field, id, help) {
  const shared = { id, name: field.name, 'aria-describedby': help, autocomplete: 'off', spellcheck: field.kind === 'area' ? 'true' : 'false' };
  if (field.make) return field.make(shared); // a control of its own: an element with `value` that tells of `input`
  if (field.kind === 'choice') return h('select', shared, ...field.choices.map(([value, title]) => h('option', { value }, title)));
  if (field.kind === 'area' || field.kind === 'lines') return h('textarea', { ...shared, rows: field.kind === 'area' ? 9 : 3, dir: 'auto' });
  const type = { email: 'email', tel: 'tel', phone: 'tel', mobile: 'tel', date: 'date' }[field.kind || field.name] || 'text';
  return h('input', { ...shared, type, dir: type === 'text' ? 'auto' : null });
}

function setValue(input, field, value) {
  input.value = value;
  if (field.kind === 'choice' && input.value !== value) input.selectedIndex = 0;
}

// The RFI form for whoever holds a link to it. The token is in the address of the page and nowhere else; what the form
// shows is asked for by this script, so that programs which merely look at links have not opened it.
import { RfiForm, ask, h } from './rfi_form.js';

const EVERY = 4000; // ms between two looks for what somebody else has saved
const here = location.pathname.replace(/\/$/, '');
const root = document.getElementById('rfi');
const title = h('h1', {}, 'Request for Information');

document.querySelector('[data-logo]')?.setAttribute('src', `${here}/logo`);

async function begin() {
  let config;
  try {
    config = await ask('POST', `${here}/open`, {});
  } catch (error) {
    const again = [0, 429, 503].includes(error.status) || error.status >= 500;
    root.replaceChildren(title, h('p', { class: 'notice', role: 'alert' }, error.status === 0 ? 'The server does not answer. The form opens by itself as soon as it does.' : error.message));
    if (again) setTimeout(begin, 4000);
    return;
  }
  const place = h('div', {});
  title.textContent = `Request for Information about ${config.about.name}`;
  title.setAttribute('dir', 'auto');
  const intro = h('p', { class: 'quiet' }, 'Before your service can be set up, we need some information. What you type is saved as you go: you can close this page and come back by the same link. Whoever has the link can fill in the form with you.');
  root.replaceChildren(title, intro, place);
  let form; // not yet there when it first says how it is
  form = new RfiForm(place, { ...config, canFill: true }, {
    answers: (body, more) => ask('POST', `${here}/answers`, body, more),
    submit: (body) => ask('POST', `${here}/submit`, body),
    now: ({ version, state }) => ask('GET', `${here}/now?version=${version}&state=${state}`),
    domains: () => ask('GET', `${here}/domains`),
  }, { onState: (now) => { intro.hidden = !now.is_open || Boolean(form?.closed); } });
  setInterval(() => !document.hidden && form.isOpen && form.renew(), EVERY);
}

begin();

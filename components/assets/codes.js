// Recovery codes, shown once: to copy, to download, to print.
export const asText = (codes) => `MSP Portal: recovery codes, each good once\n\n${codes.join('\n')}\n`;

// What the three buttons do with a list of codes; `button` says whether it worked.
export async function keepCodes(what, codes, button) {
  const text = asText(codes);
  if (what === 'copy') {
    try { await navigator.clipboard.writeText(text); button.textContent = 'Copied'; } catch { button.textContent = 'This browser does not allow it'; }
  } else if (what === 'print') {
    print();
  } else {
    const link = document.createElement('a');
    link.href = `data:text/plain;charset=utf-8,${encodeURIComponent(text)}`;
    link.download = 'msp-portal-recovery-codes.txt';
    link.click();
  }
}

// The page that ends setting up at sign-in.
const actions = document.querySelector('.recovery-actions[data-of-page]');
if (actions) {
  actions.hidden = false;
  const codes = [...document.querySelectorAll('.recovery-codes li')].map((each) => each.textContent);
  actions.addEventListener('click', ({ target }) => { if (target.dataset.do) keepCodes(target.dataset.do, codes, target); });
}

// The part of an address after # is not sent to the server: it is kept for after signing in.
const next = document.querySelector('[name=next]');
if (location.hash && next && !next.value.includes('#')) {
  next.value += location.hash;
  const provider = document.querySelector('.provider');
  if (provider) provider.href = `/oidc/start?next=${encodeURIComponent(next.value)}`;
}

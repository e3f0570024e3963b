// htmx: the CSRF token on every request, errors as a short message instead of a swapped page.
import { enhance } from './inputs.js';

const MESSAGE_MS = 8000;

export function toast(text, kind = 'danger') {
  const box = document.getElementById('toasts');
  if (!box || !text) return;
  const item = document.createElement('div');
  item.className = `alert alert-${kind} alert-dismissible toast-message`;
  const words = document.createElement('div');
  words.textContent = text;
  const close = document.createElement('button');
  close.type = 'button';
  close.className = 'btn-close';
  close.setAttribute('aria-label', 'Close');
  close.addEventListener('click', () => item.remove());
  item.append(words, close);
  box.append(item);
  setTimeout(() => item.remove(), MESSAGE_MS);
}

function messageOf(html) {
  const page = new DOMParser().parseFromString(html || '', 'text/html');
  return (page.querySelector('[data-error]')?.textContent || '').replace(/\s+/g, ' ').trim();
}

export function start() {
  document.addEventListener('htmx:config:request', (event) => {
    const token = document.querySelector('meta[name=csrf-token]')?.content;
    const { ctx } = event.detail;
    if (token && ctx.request.method !== 'GET') ctx.request.headers['X-CSRFToken'] = token;
  });
  document.addEventListener('htmx:response:error', (event) => {
    const { ctx } = event.detail;
    if (ctx.hx?.redirect || ctx.response.status === 422) return;
    toast(messageOf(ctx.text) || 'That did not work. Reload the page and try again.');
  });
  document.addEventListener('htmx:error', (event) => {
    const { error } = event.detail;
    if (error?.name === 'AbortError') return;
    if (error instanceof TypeError) toast('The server cannot be reached.');
  });
  document.addEventListener('htmx:after:swap', () => enhance(document));
}

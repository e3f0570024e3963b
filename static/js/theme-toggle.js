// Light or dark, kept in a cookie that the server reads, so that the next page is drawn right at once.
const YEAR = 31536000;

export function start() {
  document.addEventListener('click', (event) => {
    const toggle = event.target.closest('[data-theme-toggle]');
    if (!toggle) return;
    const root = document.documentElement;
    const next = root.dataset.bsTheme === 'dark' ? 'light' : 'dark';
    root.dataset.bsTheme = next;
    root.removeAttribute('data-theme-auto');
    toggle.setAttribute('aria-pressed', String(next === 'dark'));
    document.cookie = `theme=${next}; path=/; max-age=${YEAR}; samesite=lax`;
    document.dispatchEvent(new CustomEvent('theme-changed', { detail: next }));
  });
}

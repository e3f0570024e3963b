// Runs before the first paint: without a choice of the admin's, the page follows the system's light or dark.
(() => {
  const root = document.documentElement;
  if (!root.hasAttribute('data-theme-auto')) return;
  root.dataset.bsTheme = window.matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
})();

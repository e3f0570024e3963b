// Leaving a form with unsaved changes asks first; a tab named in the address opens.
export function start() {
  const form = document.querySelector('form[data-guard]');
  const hash = window.location.hash && document.querySelector(`[data-bs-toggle=tab][href="${CSS.escape ? window.location.hash.replace(/"/g, '') : ''}"]`);
  if (hash) (window.tabler || window.bootstrap).Tab.getOrCreateInstance(hash).show();
  if (!form) return;
  let dirty = form.hasAttribute('data-dirty');
  let leaving = false;
  form.addEventListener('input', () => { dirty = true; });
  form.addEventListener('change', () => { dirty = true; });
  form.addEventListener('inline-changed', () => { dirty = true; });
  form.addEventListener('submit', (event) => {
    if (event.submitter?.formTarget) return; // shown in a frame of this page (a preview): nobody leaves
    if (leaving) event.preventDefault();
    leaving = true;
    setTimeout(() => { leaving = false; }, 3000);
  });
  window.addEventListener('beforeunload', (event) => {
    if (dirty && !leaving) event.preventDefault();
  });
}

// The one modal of the page: opens when something is swapped into it, is emptied when it closes.
export function start() {
  const modal = document.getElementById('modal');
  if (!modal) return;
  const content = document.getElementById('modal-content');
  const { Modal } = window.tabler || window.bootstrap;
  document.addEventListener('htmx:after:swap', (event) => {
    const target = event.detail.ctx.target;
    if (!(target instanceof Element)) return;
    if (target !== content && !content.contains(target)) return;
    if (!content.children.length) return;
    Modal.getOrCreateInstance(modal).show();
    const wrong = content.querySelector('[aria-invalid=true]');
    if (wrong) wrong.focus();
  });
  modal.addEventListener('shown.bs.modal', () => {
    content.querySelector('textarea, input:not([type=hidden]), select')?.focus();
  });
  modal.addEventListener('hidden.bs.modal', () => content.replaceChildren());
}

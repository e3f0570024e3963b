// The one modal of the page: opens when something is swapped into it, is emptied when it closes.
const FOCUSABLE = 'a[href], button, input:not([type=hidden]), select, textarea, [tabindex="0"]';

// Tab goes round inside an open dialog or drawer, instead of out of the page at its end.
function goRound(event) {
  if (event.key !== 'Tab') return;
  const box = document.querySelector('.modal.show, .offcanvas.show');
  if (!box) return;
  const stops = [...box.querySelectorAll(FOCUSABLE)].filter((stop) => !stop.disabled && stop.checkVisibility());
  if (!stops.length) return;
  const [first, last] = [stops[0], stops[stops.length - 1]];
  const inside = box.contains(document.activeElement) && document.activeElement !== box;
  if (event.shiftKey && (!inside || document.activeElement === first)) {
    event.preventDefault();
    last.focus();
  } else if (!event.shiftKey && (!inside || document.activeElement === last)) {
    event.preventDefault();
    first.focus();
  }
}

export function start() {
  document.addEventListener('keydown', goRound);
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

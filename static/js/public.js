// The page behind a QR code: its status asks for itself again while somebody looks at it.
const EVERY_MS = 15000;

function start(box) {
  const stale = document.querySelector('[data-stale]');
  let shown = box.textContent.trim();

  async function refresh() {
    if (document.hidden) return;
    try {
      const answer = await fetch(box.dataset.statusUrl, { headers: { Accept: 'text/html' } });
      if (answer.status === 404) {
        window.location.reload();
        return;
      }
      if (!answer.ok) throw new Error(answer.statusText);
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      const found = page.querySelector('[data-status]');
      // said again only when it is another one
      if (found && found.textContent.trim() !== shown) {
        shown = found.textContent.trim();
        box.replaceChildren(found);
      }
      stale.hidden = true;
    } catch {
      stale.hidden = false;
    }
  }

  setInterval(refresh, EVERY_MS);
  document.addEventListener('visibilitychange', refresh);
}

const box = document.querySelector('[data-status-url]');
if (box) start(box);

// The page of QR codes: printing.
document.querySelector('[data-print]')?.addEventListener('click', () => window.print());

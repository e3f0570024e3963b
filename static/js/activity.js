// The curve of a charging session: energy as an area, power as a line, drawn again after every swap and theme change.
import { tone } from './theme-colours.js';

let chart = null;

function axis(text, position, grid) {
  return {
    position,
    beginAtZero: true,
    title: { display: true, text, color: tone('--tblr-secondary') },
    ticks: { color: tone('--tblr-secondary') },
    grid: { display: grid, color: tone('--tblr-border-color-translucent') },
  };
}

function draw() {
  const canvas = document.querySelector('canvas[data-curve]');
  if (chart && chart.canvas !== canvas) {
    chart.destroy();
    chart = null;
  }
  if (!canvas || !window.Chart || chart) return;
  window.Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  const data = JSON.parse(canvas.dataset.curve);
  const line = { pointRadius: data.labels.length > 60 ? 0 : 2, borderWidth: 2, spanGaps: true };
  const points = (values) => values.map((y, index) => ({ x: data.minutes[index], y }));
  const label = (minute) => data.labels[data.minutes.indexOf(minute)] ?? '';
  const still = window.matchMedia('(prefers-reduced-motion: reduce)').matches;
  chart = new window.Chart(canvas, {
    type: 'line',
    data: {
      datasets: [
        { ...line, label: 'Energy (kWh)', data: points(data.energy), yAxisID: 'energy', borderColor: tone('--tblr-green'), backgroundColor: tone('--tblr-green', 12), fill: true },
        { ...line, label: 'Power (kW)', data: points(data.power), yAxisID: 'power', borderColor: tone('--tblr-primary'), backgroundColor: tone('--tblr-primary'), stepped: 'before' },
      ],
    },
    options: {
      animation: still ? false : { duration: 200 },
      responsive: true,
      maintainAspectRatio: false,
      interaction: { mode: 'index', intersect: false },
      plugins: {
        legend: { labels: { color: tone('--tblr-body-color'), boxWidth: 14, boxHeight: 3 } },
        tooltip: { callbacks: { title: (items) => label(items[0].parsed.x) } },
      },
      scales: {
        x: {
          type: 'linear',
          min: 0,
          max: data.minutes.at(-1),
          afterBuildTicks: (scale) => {
            const wanted = Math.max(2, Math.min(data.minutes.length, Math.floor(scale.width / 70) || 6));
            const step = Math.max(1, Math.floor((data.minutes.length - 1) / (wanted - 1)));
            scale.ticks = data.minutes.filter((_, index) => index % step === 0).map((value) => ({ value }));
          },
          ticks: { color: tone('--tblr-secondary'), callback: (value) => label(value), maxRotation: 0, autoSkip: true },
          grid: { display: false },
        },
        energy: axis('kWh', 'left', true),
        power: axis('kW', 'right', false),
      },
    },
  });
}

function drawAgain() {
  chart?.destroy();
  chart = null;
  draw();
}

// the table of readings stays folded out while new readings arrive
let unfolded = false;
document.addEventListener('toggle', (event) => {
  if (event.target.matches?.('.readings')) unfolded = event.target.open;
}, true);

document.addEventListener('htmx:after:swap', () => {
  draw();
  const readings = document.querySelector('.readings');
  if (readings && unfolded) readings.open = true;
});
document.addEventListener('theme-changed', drawAgain);
draw();

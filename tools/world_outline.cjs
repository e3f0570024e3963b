// Turns the Natural Earth 1:50m countries of the npm package world-atlas into a small GeoJSON on standard output:
// arcs are simplified (finer in Europe, where the stations are) before they are joined, so neighbours share borders.
const path = require('path');
const base = path.resolve(process.argv[2]);
const topology = require(path.join(base, 'world-atlas/countries-50m.json'));
const { feature } = require(path.join(base, 'topojson-client'));

const EUROPE = { west: -12, east: 42, south: 34, north: 62 };
const [kx, ky] = topology.transform.scale;
const [dx, dy] = topology.transform.translate;

function decoded(arc) {
  let x = 0;
  let y = 0;
  return arc.map(([stepX, stepY]) => {
    x += stepX;
    y += stepY;
    return [x * kx + dx, y * ky + dy];
  });
}

function inEurope([lon, lat]) {
  return lon > EUROPE.west && lon < EUROPE.east && lat > EUROPE.south && lat < EUROPE.north;
}

function offLine([px, py], [ax, ay], [bx, by]) {
  const length = Math.hypot(bx - ax, by - ay);
  if (length === 0) return Math.hypot(px - ax, py - ay);
  return Math.abs((by - ay) * px - (bx - ax) * py + bx * ay - by * ax) / length;
}

// Douglas-Peucker
function simplified(points, tolerance) {
  if (points.length < 3) return points;
  let worst = 0;
  let at = 0;
  for (let i = 1; i < points.length - 1; i += 1) {
    const distance = offLine(points[i], points[0], points[points.length - 1]);
    if (distance > worst) {
      worst = distance;
      at = i;
    }
  }
  if (worst <= tolerance) return [points[0], points[points.length - 1]];
  return [...simplified(points.slice(0, at + 1), tolerance).slice(0, -1), ...simplified(points.slice(at), tolerance)];
}

const arcs = topology.arcs.map((arc) => {
  const points = decoded(arc);
  const closed = points[0].join() === points[points.length - 1].join();
  const tolerance = inEurope(points[Math.floor(points.length / 2)]) ? 0.03 : 0.16;
  if (!closed || points.length < 4) return simplified(points, tolerance);
  const half = Math.floor(points.length / 2);
  return [...simplified(points.slice(0, half + 1), tolerance).slice(0, -1), ...simplified(points.slice(half), tolerance)];
});

function extent(ring) {
  const xs = ring.map((p) => p[0]);
  const ys = ring.map((p) => p[1]);
  return Math.max(...xs) - Math.min(...xs) + Math.max(...ys) - Math.min(...ys);
}

const round = (n) => Math.round(n * 100) / 100;
const features = [];
const simple = { type: 'Topology', arcs, objects: topology.objects };
for (const country of feature(simple, topology.objects.countries).features) {
  if (!country.geometry || country.properties.name === 'Antarctica') continue;
  const polygons = country.geometry.type === 'Polygon' ? [country.geometry.coordinates] : country.geometry.coordinates;
  const kept = polygons
    .filter((rings) => rings[0].length > 3 && extent(rings[0]) > (inEurope(rings[0][0]) ? 0.15 : 0.9))
    .map((rings) => rings.filter((ring) => ring.length > 3).map((ring) => ring.map(([x, y]) => [round(x), round(y)])));
  if (!kept.length) continue;
  features.push({
    type: 'Feature',
    properties: { name: country.properties.name },
    geometry: { type: 'MultiPolygon', coordinates: kept },
  });
}
process.stdout.write(JSON.stringify({ type: 'FeatureCollection', features }));

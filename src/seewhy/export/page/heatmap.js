// From a raw, coarse map to colours on the photo: scaled by its maximum, bilinear with half-pixel centres, as in Python.

// For each of `length` pixels the two cells that it lies between, and how far it is from the first to the second.
// Cells are spread from edge `low` to edge `high`; pixels whose centre is outside are null.
function places(cells, length, low, high) {
  return Array.from({ length }, (_, i) => {
    const centre = i + 0.5;
    if (centre < low || centre > high) return null;
    const place = Math.min(cells - 1, Math.max(0, ((centre - low) / (high - low)) * cells - 0.5));
    const first = Math.min(Math.floor(place), Math.max(0, cells - 2));
    return [first, Math.min(first + 1, cells - 1), place - first];
  });
}

// The share of the photo that lies in the region, counted on the pixels that Python counts it on.
export function seen(size, region) {
  const longest = Math.max(...size);
  return region.reduce((share, [low, high], axis) => {
    const step = Math.min(1, Math.max(256 / longest, 64 / (high - low)));
    const fine = Math.max(1, Math.round(size[axis] * step)), scale = fine / size[axis];
    return (share * places(1, fine, low * scale, high * scale).filter((place) => place !== null).length) / fine;
  }, 1);
}

// {values, shape: [h, w]} of any range -> Float32Array (height * width) in [0, 1]; zeros where nothing speaks for it.
export function upsample({ values, shape: [h, w] }, width, height, region) {
  const most = values.reduce((a, b) => Math.max(a, b), 0), out = new Float32Array(width * height);
  if (!(most > 0)) return out;
  const scaled = Float32Array.from(values, (value) => Math.max(0, value / most));
  const columns = places(w, width, ...region[1]), row = new Float32Array(w);
  places(h, height, ...region[0]).forEach((place, y) => {
    if (place === null) return;
    const [above, below, t] = place;
    for (let x = 0; x < w; x++) row[x] = scaled[above * w + x] * (1 - t) + scaled[below * w + x] * t;
    columns.forEach((column, x) => {
      if (column !== null) out[y * width + x] = row[column[0]] * (1 - column[2]) + row[column[1]] * column[2];
    });
  });
  return out;
}

// [0, 1] -> RGBA: the colour of each value, as opaque as there is evidence. `table`: 256 colours, "rrggbb" each.
export function coloured(heat, table) {
  const colours = table.map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  const out = new Uint8ClampedArray(heat.length * 4);
  for (let i = 0; i < heat.length; i++) {
    const [r, g, b] = colours[Math.round(heat[i] * 255)];
    out[4 * i] = r;
    out[4 * i + 1] = g;
    out[4 * i + 2] = b;
    out[4 * i + 3] = heat[i] * 255;
  }
  return out;
}

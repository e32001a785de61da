// Resize pictures as Pillow does, to the last bit: the same filters, the same fixed-point sums, the same rounding.
// A browser's own scaling reads other pixels, and the model would see another photo than it was trained for.

const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

function cubic(x) {
  const a = -0.5, d = Math.abs(x);
  if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? (((d - 5) * d + 8) * d - 4) * a : 0;
}

function hamming(x) {
  const d = Math.abs(x);
  if (d === 0) return 1;
  return d >= 1 ? 0 : sinc(d) * (Math.fround(0.54) + Math.fround(0.46) * Math.cos(Math.PI * d));
}

// name -> [how many source pixels the filter reaches to each side, the filter]
const FILTERS = {
  box: [0.5, (x) => (x > -0.5 && x <= 0.5 ? 1 : 0)],
  bilinear: [1, (x) => Math.max(0, 1 - Math.abs(x))],
  hamming: [1, hamming],
  bicubic: [2, cubic],
  lanczos: [3, (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0)],
};
const BITS = 22; // of the fraction in a weight

// For each new pixel the first old one that counts, and the weights of that and the next ones.
function weightsOf(before, after, [reach, filter]) {
  const scale = before / after, stretch = Math.max(scale, 1), support = reach * stretch;
  return Array.from({ length: after }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const last = Math.min(before, Math.trunc(centre + support + 0.5));
    const raw = Array.from({ length: last - first }, (_, j) => filter((j + first - centre + 0.5) * (1 / stretch)));
    const sum = raw.reduce((a, b) => a + b, 0) || 1;
    const weights = raw.map((w) => Math.trunc((w / sum) * 2 ** BITS + (w / sum < 0 ? -0.5 : 0.5)));
    return { first, weights: Int32Array.from(weights) };
  });
}

const clip = (sum) => Math.max(0, Math.min(255, sum >> BITS));
const HALF = 1 << (BITS - 1);

function across({ data, width, height, channels }, after, filter) {
  const spans = weightsOf(width, after, filter), out = new Uint8Array(after * height * channels);
  for (let y = 0, to = 0; y < height; y++) {
    for (const { first, weights } of spans) {
      const from = (y * width + first) * channels;
      for (let c = 0; c < channels; c++, to++) {
        let sum = HALF;
        for (let j = 0, at = from + c; j < weights.length; j++, at += channels) sum += data[at] * weights[j];
        out[to] = clip(sum);
      }
    }
  }
  return { data: out, width: after, height, channels };
}

function down({ data, width, height, channels }, after, filter) {
  const row = width * channels, out = new Uint8Array(after * row);
  weightsOf(height, after, filter).forEach(({ first, weights }, y) => {
    const sums = new Int32Array(row).fill(HALF);
    for (let j = 0; j < weights.length; j++) {
      const weight = weights[j], from = (first + j) * row;
      for (let i = 0; i < row; i++) sums[i] += data[from + i] * weight;
    }
    for (let i = 0; i < row; i++) out[y * row + i] = clip(sums[i]);
  });
  return { data: out, width, height: after, channels };
}

function nearest({ data, width, height, channels }, w, h) {
  const places = (before, after) => {
    const step = before / after, found = [];
    for (let i = 0, at = step * 0.5; i < after; i++, at += step) found.push(Math.min(before - 1, Math.trunc(at)));
    return found;
  };
  const columns = places(width, w), out = new Uint8Array(w * h * channels);
  let to = 0;
  for (const y of places(height, h))
    for (const x of columns)
      for (let c = 0; c < channels; c++) out[to++] = data[(y * width + x) * channels + c];
  return { data: out, width: w, height: h, channels };
}

// {data: Uint8Array, width, height, channels}, interleaved -> the same in another size.
export function resize(picture, width, height, interpolation) {
  if (interpolation === "nearest") return nearest(picture, width, height);
  const filter = FILTERS[interpolation];
  if (picture.width !== width) picture = across(picture, width, filter);
  return picture.height === height ? picture : down(picture, height, filter);
}

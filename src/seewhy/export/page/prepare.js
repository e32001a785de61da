// From a photo to the model's input, and where that lies on the photo: what seewhy.Preprocess does in Python.
import { resize } from "./resample.js";

// RGBA, opaque -> {data, width, height, channels} in the model's colours.
function coloured({ data, width, height }, colour) {
  const count = width * height;
  if (colour === "grey") {
    const grey = new Uint8Array(count);
    for (let i = 0; i < count; i++)
      grey[i] = (data[4 * i] * 19595 + data[4 * i + 1] * 38470 + data[4 * i + 2] * 7471 + 0x8000) >> 16;
    return { data: grey, width, height, channels: 1 };
  }
  const rgb = new Uint8Array(count * 3), order = colour === "bgr" ? [2, 1, 0] : [0, 1, 2];
  for (let i = 0; i < count; i++) for (let c = 0; c < 3; c++) rgb[3 * i + c] = data[4 * i + order[c]];
  return { data: rgb, width, height, channels: 3 };
}

function resizedTo(wanted, width, height) {
  if (wanted === null) return [width, height];
  if (Array.isArray(wanted)) return [wanted[1], wanted[0]];
  const longer = Math.max(1, Math.floor((wanted * Math.max(width, height)) / Math.min(width, height)));
  return width <= height ? [wanted, longer] : [longer, wanted];
}

function roundHalfToEven(x) {
  const low = Math.floor(x);
  return x - low === 0.5 ? low + (low % 2) : Math.round(x);
}

// Pixels cut off before the centre; negative: black ones added.
function before(have, want, rounding) {
  if (have < want) return -Math.floor((want - have) / 2);
  return rounding === "round" ? roundHalfToEven((have - want) / 2) : Math.floor((have - want) / 2);
}

// photo {data (RGBA), width, height} -> {input: Float32Array (c, h, w), shape, region: [[top, bottom], [left, right]]}
export function prepare(photo, how) {
  const [h, w] = how.size;
  const [width, height] = resizedTo(how.resize, photo.width, photo.height);
  if (width * height > 2 ** 27)
    throw new Error(`The photo is too long and thin: it would become ${width} × ${height} pixels.`);
  const picture = resize(coloured(photo, how.colour), width, height, how.interpolation);
  const top = before(height, h, how.rounding), left = before(width, w, how.rounding);

  const channels = picture.channels, input = new Float32Array(channels * h * w);
  const scale = Math.fround(how.scale), mean = how.mean.map(Math.fround), std = how.std.map(Math.fround);
  let to = 0;
  for (let c = 0; c < channels; c++)
    for (let y = top; y < top + h; y++)
      for (let x = left; x < left + w; x++) {
        const inside = y >= 0 && y < height && x >= 0 && x < width;
        const pixel = inside ? picture.data[(y * width + x) * channels + c] : 0;
        input[to++] = Math.fround(Math.fround(pixel * scale) - mean[c]) / std[c];
      }
  const edges = (from, size, length, whole) => [(from * whole) / length, ((from + size) * whole) / length];
  const region = [edges(top, h, height, photo.height), edges(left, w, width, photo.width)];
  return { input, shape: [1, channels, h, w], region };
}

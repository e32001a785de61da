// What a visitor sees and does. The model is in worker.js, the photo in photo.js, the colours in heatmap.js.
import { coloured, seen, upsample } from "./heatmap.js";
import { Camera, fromFile } from "./photo.js";

const $ = (id) => document.getElementById(id);
const LARGEST = 1600; // pixels of the longer side on the screen
const WHOLE = 0.97; // a model that saw less of the photo saw a crop of it, and that is said
const BACKENDS = { webgpu: "WebGPU", wasm: "WebAssembly" };

$("not-started").remove();
document.querySelector("main").hidden = false;
const about = await settings();
const camera = new Camera();
const shown = { photo: null, found: null, chosen: null, live: false };

async function settings() {
  try {
    return await (await fetch("explained.json")).json();
  } catch (error) {
    complain(new Error("explained.json could not be read: is it beside the page, as the export wrote it?"));
    throw error;
  }
}

// ---- the worker: the newest question is the one that counts --------------------------------------------------

// A worker of a file of its own would not be held by this page's Content-Security-Policy; one of a blob is.
const code = `import ${JSON.stringify(new URL("worker.js", import.meta.url).href)};`;
const worker = new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })), { type: "module" });
const waiting = new Map();
let numbers = 0;

worker.onmessage = ({ data: { number, answer, problem } }) => {
  const { resolve, reject } = waiting.get(number);
  waiting.delete(number);
  problem === undefined ? resolve(answer) : reject(new Error(problem));
};
worker.onerror = (event) => {
  for (const { reject } of waiting.values()) reject(new Error(`The model could not be started: ${event.message}`));
  waiting.clear();
};

function ask(kind, message = {}, give = []) {
  const number = ++numbers;
  return new Promise((resolve, reject) => {
    waiting.set(number, { resolve, reject });
    worker.postMessage({ number, kind, ...message }, give);
  });
}

let running = null; // what the worker does now; the start, at first
let newest = 0;

// Explain a photo, or once more the last one; null where another question came meanwhile.
function explain(photo = null) {
  const turn = ++newest;
  const mine = running.then(async () => {
    if (turn !== newest && photo === null) return null; // a photo has to be shown to the worker all the same
    const found = await ask("explain", { photo, wanted: shown.chosen });
    return turn === newest ? found : null;
  });
  running = mine.catch(() => null);
  return mine;
}

// ---- words ---------------------------------------------------------------------------------------------------

const name = (index) => about.labels?.[index] ?? `class ${index}`;
const folded = (text) => text.toLowerCase().replace(/[_-]/g, " ").trim();

// The classes whose folded labels are so.
function those(fits) {
  return (about.labels ?? []).flatMap((label, index) => (fits(folded(label)) ? [index] : []));
}

// A label, with its number where several classes share it.
const shared = new Set((about.labels ?? []).filter((label, index, all) => all.indexOf(label) !== index));
const title = (index) => (shared.has(about.labels?.[index]) ? `${name(index)} (${index})` : name(index));

// What the model returns goes by the name that says what it is: logits, probabilities or log_probabilities.
function probabilities(scores) {
  if (about.scores === "probabilities") return scores;
  const most = scores.reduce((a, b) => Math.max(a, b), -Infinity);
  const raised = scores.map((score) => Math.exp(score - most));
  const sum = raised.reduce((a, b) => a + b, 0);
  return raised.map((value) => value / sum);
}

function say(text) {
  $("status").textContent = text;
}

function complain(error) {
  $("problem").textContent = error === null ? "" : error.message;
}

// What Python says of a map without evidence, and of a crop. `drawn`: is there any colour on the photo?
function sentence({ map, index, flat, region, size }, drawn) {
  const label = `'${title(index)}'`;
  if (flat)
    return (
      `The score of ${label} does not change with layer ${about.layer} at all (a saturated output?): ` +
      "its gradient is zero, and the blank map tells nothing."
    );
  if (!map.values.some((value) => value > 0)) return `Nothing at layer ${about.layer} speaks for ${label}: the map is blank.`;
  if (!drawn) return `The evidence for ${label} lies outside the photo, in what was padded.`;
  const share = seen([size.height, size.width], region);
  const percent = share < 0.01 ? "less than 1%" : `${Math.round(100 * share)}%`;
  return `The colours show what speaks for ${label}.${share < WHOLE ? ` The model saw ${percent} of the photo.` : ""}`;
}

// ---- drawing -------------------------------------------------------------------------------------------------

function drawPhoto(photo) {
  const scale = Math.min(1, LARGEST / Math.max(photo.width, photo.height));
  const whole = document.createElement("canvas");
  whole.width = photo.width;
  whole.height = photo.height;
  whole.getContext("2d").putImageData(new ImageData(photo.data, photo.width, photo.height), 0, 0);
  for (const canvas of [$("photo"), $("heat")]) {
    canvas.width = Math.max(1, Math.round(photo.width * scale));
    canvas.height = Math.max(1, Math.round(photo.height * scale));
  }
  const pen = $("photo").getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(whole, 0, 0, $("photo").width, $("photo").height);
  $("picture").classList.remove("empty");
  $("picture").classList.toggle("mirrored", shown.live && camera.mirrored);
}

function drawHeat({ map, region, size }) {
  const { width, height } = $("heat");
  const [vertical, horizontal] = region;
  const edges = [vertical.map((edge) => (edge * height) / size.height), horizontal.map((edge) => (edge * width) / size.width)];
  const heat = upsample(map, width, height, edges);
  $("heat").getContext("2d").putImageData(new ImageData(coloured(heat, about.colours), width, height), 0, 0);
  const drawn = heat.some((value) => value > 0);
  $("legend").hidden = !drawn;
  return drawn;
}

function drawRows(scores, index) {
  const sure = probabilities(scores);
  const order = Array.from(sure.keys()).sort((a, b) => sure[b] - sure[a] || a - b).slice(0, 5);
  if (!order.includes(index)) order.push(index);
  const rows = $("rows");
  while (rows.children.length < order.length) rows.append(newRow());
  Array.from(rows.children).forEach((row, place) => {
    row.hidden = place >= order.length;
    if (row.hidden) return;
    const which = order[place], [bar, choice, label, percent] = row.children;
    bar.style.transform = `scaleX(${Math.min(1, Math.max(0, sure[which]))})`;
    choice.value = which;
    choice.checked = which === index;
    label.textContent = title(which);
    percent.textContent = `${(100 * sure[which]).toFixed(1)} %`;
  });
  $("predictions").hidden = $("more").hidden = false;
  $("best").disabled = shown.chosen === null || (!shown.live && index === order[0]);
}

function newRow() {
  const row = document.createElement("label");
  row.className = "row";
  row.innerHTML = '<span class="bar"></span><input type="radio" name="row"><span class="name"></span><span class="sure"></span>';
  row.querySelector("input").addEventListener("change", (event) => choose(Number(event.target.value)));
  return row;
}

function draw(found) {
  shown.found = found;
  const words = sentence(found, drawHeat(found));
  drawRows(Array.from(found.scores), found.index);
  $("photo").setAttribute("aria-label", `The photo. ${words}`);
  if (!shown.live) say(`${words} (${(1000 * found.seconds).toFixed(0)} ms, ${BACKENDS[started.backend]})`);
  $("save").disabled = false;
}

// ---- doing ---------------------------------------------------------------------------------------------------

async function again() {
  try {
    const found = await explain();
    if (found !== null) draw(found);
  } catch (error) {
    complain(error);
  }
}

function choose(index) {
  shown.chosen = index;
  $("class").value = "";
  complain(null);
  if (shown.photo !== null && !shown.live) return again();
}

async function open(file) {
  stopCamera();
  complain(null);
  try {
    const photo = await fromFile(file); // where it is none, what was there before stays
    shown.chosen = null;
    forget();
    shown.photo = photo;
    drawPhoto(photo);
    if (started !== null) say("Looking …");
    const found = await explain(photo);
    if (found !== null) draw(found);
  } catch (error) {
    if (started !== null) say("");
    complain(error);
  }
}

// What is shown of a photo goes when another one comes.
function forget() {
  shown.found = null;
  $("class").value = "";
  $("predictions").hidden = $("more").hidden = $("legend").hidden = $("save").disabled = true;
}

function stopCamera() {
  if (!shown.live) return;
  shown.live = false;
  camera.stop();
  $("camera").textContent = "Camera";
  $("camera").setAttribute("aria-pressed", "false");
  $("turn").hidden = true;
}

async function live() {
  while (shown.live) {
    const photo = camera.frame();
    if (photo !== null) {
      const found = await explain(photo);
      if (!shown.live) break;
      if (found !== null) {
        shown.photo = photo;
        drawPhoto(photo);
        draw(found);
      }
    }
    await new Promise(requestAnimationFrame);
  }
}

async function toggleCamera() {
  complain(null);
  if (shown.live) {
    stopCamera(); // the last frame stays, as a photo
    if (shown.photo !== null) drawPhoto(shown.photo);
    if (shown.found !== null) draw(shown.found);
    return;
  }
  try {
    await camera.start();
    shown.live = true;
    $("camera").textContent = "Hold this frame";
    $("camera").setAttribute("aria-pressed", "true");
    $("turn").hidden = false;
    say("Live: the heatmap follows the camera. Choose a class to keep it.");
    await live();
  } catch (error) {
    stopCamera();
    complain(error);
  }
}

async function chooseNamed() {
  const text = $("class").value.trim();
  if (text === "") return;
  complain(null);
  const count = shown.found.scores.length;
  const exact = /^(.*) \((\d+)\)$/.exec(text);
  const number = /^\d+$/.test(text) ? Number(text) : exact && name(Number(exact[2])) === exact[1] ? Number(exact[2]) : null;
  const called = number !== null ? [number] : those((label) => label === folded(text));
  if (called.length > 1) {
    return complain(new Error(`${called.length} classes are called “${text}”: give the number, ${called.join(" or ")}.`));
  }
  if (called.length === 0 || called[0] >= count) {
    const near = those((label) => label.includes(folded(text))).slice(0, 3).map(title);
    const instead = near.length > 0 ? `perhaps ${near.join(", ")}` : "choose one of the list";
    return complain(new Error(`No class is called “${text}”: ${instead}, or a number from 0 to ${count - 1}.`));
  }
  await choose(called[0]);
}

function save() {
  const both = document.createElement("canvas");
  both.width = $("photo").width;
  both.height = $("photo").height;
  const pen = both.getContext("2d");
  pen.drawImage($("photo"), 0, 0);
  pen.globalAlpha = Number($("opacity").value);
  pen.drawImage($("heat"), 0, 0);
  both.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${name(shown.found.index).replace(/\W+/g, "-")}_cam.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  });
}

function listen() {
  $("file").addEventListener("change", (event) => {
    const [file] = event.target.files;
    event.target.value = ""; // the same file may be chosen again
    if (file) open(file);
  });
  $("camera").addEventListener("click", toggleCamera);
  $("turn").addEventListener("click", () => camera.turn().catch((error) => (stopCamera(), complain(error))));
  $("save").addEventListener("click", save);
  $("class").addEventListener("change", chooseNamed);
  $("class").addEventListener("input", (event) => event.target.value.trim() === "" && complain(null));
  $("best").addEventListener("click", () => choose(null));
  $("opacity").addEventListener("input", (event) => ($("heat").style.opacity = event.target.value));
  document.addEventListener("paste", (event) => {
    const [file] = event.clipboardData.files;
    if (file) open(file);
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    $("picture").classList.add("over");
  });
  document.addEventListener("dragleave", () => $("picture").classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    $("picture").classList.remove("over");
    const [file] = event.dataTransfer.files;
    if (file) open(file);
    else complain(new Error("What was dropped holds no file: drop a photo."));
  });
}

function fillClasses() {
  $("classes").replaceChildren(...(about.labels ?? []).map((_, index) => new Option(title(index))));
}

function drawScale() {
  const steps = Array.from({ length: 9 }, (_, i) => `#${about.colours[Math.round((i * 255) / 8)]}`);
  $("scale").style.background = `linear-gradient(to right, ${steps.join(", ")})`;
}

// ---- start ---------------------------------------------------------------------------------------------------

let started = null;
$("picture").classList.add("empty");
$("about").textContent = `${about.model}, explained by ${about.method} at its layer ${about.layer}.`;
document.title = `Where does ${about.model} look?`;
$("opacity").value = $("heat").style.opacity = about.opacity;
fillClasses();
drawScale();
say(`Loading the model (${(about.bytes / 2 ** 20).toFixed(0)} MiB) …`);
listen(); // a photo may be chosen meanwhile
const starting = ask("start", { settings: about, backend: new URLSearchParams(location.search).get("backend") });
running = starting.catch(() => null);
try {
  started = await starting;
  say(shown.photo === null ? "Ready." : "Looking …");
} catch (error) {
  say("");
  complain(error);
}

// For tests and for the curious: what is shown now, and what the model was given.
window.seewhy = { about, started, shown, open, choose, input: () => ask("input") };

// Runs the model beside the page, so that the page stays quick to the touch. One message in, one answer out.
import { prepare } from "./prepare.js";

const PREDICTED = -1; // the class index that stands for the predicted class

let ort, session, about, prepared;

const RUNTIMES = {
  webgpu: { script: "ort.webgpu.min.mjs", files: "ort-wasm-simd-threaded.asyncify" },
  wasm: { script: "ort.wasm.min.mjs", files: "ort-wasm-simd-threaded" },
};

const here = (file) => new URL(file, import.meta.url).href;

async function begin(kind, bytes) {
  const { script, files } = RUNTIMES[kind];
  ort = await import(here(`runtime/${script}`));
  ort.env.wasm.wasmPaths = { mjs: here(`runtime/${files}.mjs`), wasm: here(`runtime/${files}.wasm`) };
  // threads share memory, which browsers allow only to pages that are isolated from others
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
  ort.env.logLevel = "error";
  session = await ort.InferenceSession.create(bytes, { executionProviders: [kind], logSeverityLevel: 3 });
  const [c, [h, w]] = [about.preprocess.colour === "grey" ? 1 : 3, about.preprocess.size];
  await run({ input: new Float32Array(c * h * w), shape: [1, c, h, w] }, PREDICTED); // compiles what it needs
}

// An adapter that the browser only imitates is slower than WebAssembly by far.
async function hasGpu() {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  return Boolean(adapter) && !(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter);
}

async function start({ settings, backend }) {
  about = settings;
  const answer = await fetch(here("explained.onnx"));
  if (!answer.ok) throw new Error(`explained.onnx could not be read (${answer.status}): is it beside the page?`);
  const bytes = new Uint8Array(await answer.arrayBuffer());
  if (backend === "webgpu" || (backend !== "wasm" && (await hasGpu()))) {
    try {
      await begin("webgpu", bytes);
      return { backend: "webgpu" };
    } catch (error) {
      console.warn("seewhy: WebGPU cannot run this model, WebAssembly takes its place:", error);
    }
  }
  await begin("wasm", bytes);
  return { backend: "wasm", threads: ort.env.wasm.numThreads };
}

async function run({ input, shape }, index) {
  const outputs = await session.run({
    image: new ort.Tensor("float32", input, shape),
    class_index: new ort.Tensor("int64", BigInt64Array.of(BigInt(index)), [1]),
  });
  const { heatmap, flat } = outputs;
  return {
    scores: outputs[about.scores].data,
    map: { values: heatmap.data, shape: heatmap.dims.slice(-2) },
    flat: Boolean(flat?.data[0]), // methods without gradients do not tell
  };
}

const best = (scores) => scores.reduce((at, score, i) => (score > scores[at] ? i : at), 0);

async function explain({ photo, wanted }) {
  if (!session) throw new Error("The model could not be started.");
  const since = performance.now();
  if (photo) prepared = { ...prepare(photo, about.preprocess), size: { width: photo.width, height: photo.height } };
  const found = await run(prepared, wanted ?? PREDICTED);
  const index = wanted ?? best(found.scores);
  return { ...found, index, region: prepared.region, size: prepared.size, seconds: (performance.now() - since) / 1000 };
}

const ANSWERS = { start, explain, input: async () => prepared };

self.onmessage = async ({ data: { number, kind, ...message } }) => {
  try {
    self.postMessage({ number, answer: await ANSWERS[kind](message) });
  } catch (error) {
    self.postMessage({ number, problem: String(error?.message ?? error) });
  }
};

// Where photos come from: a file, the clipboard, the camera; each as opaque RGBA pixels, upright, as they were stored.

const MOST = 2 ** 24; // pixels: browsers on phones draw no larger canvas

function pixelsOf(source, width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const pen = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
  pen.fillStyle = "white"; // below what is transparent
  pen.fillRect(0, 0, width, height);
  pen.drawImage(source, 0, 0, width, height);
  return { data: pen.getImageData(0, 0, width, height).data, width, height };
}

export async function fromFile(file) {
  let bitmap;
  try {
    // turned as its EXIF says; the colours as they are stored, which is what Python gives the model
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  } catch {
    throw new Error(
      `${file.name || "What you gave"} is not a picture that this browser can read, or it is damaged: ` +
        "try a JPEG, PNG, WebP, GIF or BMP.",
    );
  }
  const smaller = Math.min(1, Math.sqrt(MOST / (bitmap.width * bitmap.height)));
  try {
    return pixelsOf(bitmap, Math.max(1, Math.floor(bitmap.width * smaller)), Math.max(1, Math.floor(bitmap.height * smaller)));
  } finally {
    bitmap.close();
  }
}

const REASONS = {
  NotAllowedError: "The browser was not allowed to use the camera: allow it in the address bar, or choose a photo.",
  NotFoundError: "No camera was found: choose a photo instead.",
  NotReadableError: "The camera is in use by another program.",
};

export class Camera {
  #stream = null;
  #video = document.createElement("video");
  #facing = "environment";

  get mirrored() {
    return this.#facing === "user";
  }

  async start() {
    if (!navigator.mediaDevices?.getUserMedia)
      throw new Error("Browsers give the camera only to pages of https:// or of this machine (127.0.0.1).");
    try {
      this.#stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: this.#facing, width: { ideal: 960 } } });
    } catch (error) {
      throw new Error(REASONS[error.name] ?? `The camera could not be started: ${error.message}`);
    }
    this.#video.muted = this.#video.playsInline = true;
    this.#video.srcObject = this.#stream;
    await this.#video.play();
  }

  async turn() {
    this.#facing = this.mirrored ? "environment" : "user";
    this.stop();
    await this.start();
  }

  stop() {
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = this.#video.srcObject = null;
  }

  frame() {
    const { videoWidth: width, videoHeight: height } = this.#video;
    return this.#stream !== null && width > 0 ? pixelsOf(this.#video, width, height) : null;
  }
}

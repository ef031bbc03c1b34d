// ThumbHash (evanw/thumbhash, format of 2023): some 25 bytes that hold a blurred picture. Decoding only, and opaque
// pictures only: Shoebox makes no others.

const SIDE = 32;
const MOST_TERMS = 7; // of the longer side
const START = 5; // where the terms begin

/** Paint the picture of a base64 hash into `canvas`, which takes its proportions. False if the hash is malformed. */
export function paint(canvas, base64) {
  const picture = decode(base64);
  if (!picture) return false;
  canvas.width = picture.width;
  canvas.height = picture.height;
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return true;
}

/** A base64 hash as ImageData, 32 pixels along its longer side; null if it is malformed. */
export function decode(base64) {
  const hash = bytesOf(base64);
  const head = hash[0] | (hash[1] << 8) | (hash[2] << 16);
  const tail = hash[3] | (hash[4] << 8);
  const shorter = tail & 7;
  const transparent = head >> 23;
  if (hash.length <= START || shorter === 0 || transparent) return null;
  const [lx, ly] = tail >> 15 ? [MOST_TERMS, shorter] : [shorter, MOST_TERMS];

  const next = halfBytes(hash);
  const light = channel((head & 63) / 63, Math.max(3, lx), Math.max(3, ly), ((head >> 18) & 31) / 31, next);
  const yellow = channel(((head >> 6) & 63) / 31.5 - 1, 3, 3, (((tail >> 3) & 63) / 63) * 1.25, next);
  const red = channel(((head >> 12) & 63) / 31.5 - 1, 3, 3, (((tail >> 9) & 63) / 63) * 1.25, next);
  const width = lx > ly ? SIDE : Math.round((SIDE * lx) / ly);
  const height = lx > ly ? Math.round((SIDE * ly) / lx) : SIDE;
  return draw(new ImageData(width, height), { light, yellow, red });
}

function draw(image, { light, yellow, red }) {
  const across = cosines(image.width);
  const down = cosines(image.height);
  for (let y = 0, i = 0; y < image.height; y++) {
    for (let x = 0; x < image.width; x++, i += 4) {
      const l = value(light, across[x], down[y]);
      const q = value(red, across[x], down[y]);
      const b = l - (2 / 3) * value(yellow, across[x], down[y]);
      const r = (3 * l - b + q) / 2;
      image.data[i] = r * 255;
      image.data[i + 1] = (r - q) * 255;
      image.data[i + 2] = b * 255;
      image.data[i + 3] = 255;
    }
  }
  return image;
}

function value({ mean, terms }, across, down) {
  let sum = mean;
  for (const { cx, cy, weight } of terms) sum += weight * across[cx] * down[cy];
  return sum;
}

/** A channel: its mean, and the lower triangle of its nx × ny cosine terms. */
function channel(mean, nx, ny, scale, next) {
  const terms = [];
  for (let cy = 0; cy < ny; cy++) {
    for (let cx = cy ? 0 : 1; cx * ny < nx * (ny - cy); cx++) terms.push({ cx, cy, weight: next() * scale * 2 });
  }
  return { mean, terms };
}

/** Reads the hash's half bytes one after the other, each as -1 to 1. */
function halfBytes(hash) {
  let index = 2 * START;
  return () => {
    const half = (hash[index >> 1] >> ((index & 1) * 4)) & 15;
    index++;
    return half / 7.5 - 1;
  };
}

function cosines(length) {
  return Array.from({ length }, (_, at) => Array.from({ length: MOST_TERMS }, (_, c) => Math.cos((Math.PI / length) * (at + 0.5) * c)));
}

function bytesOf(base64) {
  try {
    return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  } catch {
    return new Uint8Array(0);
  }
}

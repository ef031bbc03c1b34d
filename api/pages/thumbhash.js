// ThumbHash (evanw/thumbhash, format of 2023): some 25 bytes that hold a blurred picture. Decoding only.

const SIDE = 32;
const MOST_TERMS = 7;

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
  const shorter = hash[3] & 7;
  if (hash.length < 6 || shorter === 0) return null;
  const head = hash[0] | (hash[1] << 8) | (hash[2] << 16);
  const tail = hash[3] | (hash[4] << 8);
  const alpha = head >> 23;
  const wide = tail >> 15;
  const longer = alpha ? 5 : 7;
  const [lx, ly] = wide ? [longer, shorter] : [shorter, longer];

  const next = nibbles(hash, alpha ? 6 : 5);
  const channels = [
    channel((head & 63) / 63, Math.max(3, lx), Math.max(3, ly), ((head >> 18) & 31) / 31, next),
    channel(((head >> 6) & 63) / 31.5 - 1, 3, 3, (((tail >> 3) & 63) / 63) * 1.25, next),
    channel(((head >> 12) & 63) / 31.5 - 1, 3, 3, (((tail >> 9) & 63) / 63) * 1.25, next),
    alpha ? channel((hash[5] & 15) / 15, 5, 5, (hash[5] >> 4) / 15, next) : { mean: 1, terms: [] },
  ];
  const width = lx > ly ? SIDE : Math.round((SIDE * lx) / ly);
  const height = lx > ly ? Math.round((SIDE * ly) / lx) : SIDE;
  return draw(new ImageData(width, height), channels);
}

function draw(image, [light, yellow, red, opacity]) {
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
      image.data[i + 3] = value(opacity, across[x], down[y]) * 255;
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
function nibbles(hash, start) {
  let index = 0;
  return () => {
    const nibble = (hash[start + (index >> 1)] >> ((index & 1) << 2)) & 15;
    index++;
    return nibble / 7.5 - 1;
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

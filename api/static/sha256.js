// SHA-256 (FIPS 180-4) for pages without crypto.subtle: browsers keep it from plain http, but for localhost, and a
// phone that opens a laptop's gallery over the local network has just that.

const primes = (count) => {
  const found = [];
  for (let n = 2; found.length < count; n++) if (found.every((p) => n % p)) found.push(n);
  return found;
};
const fraction = (x) => ((x - Math.floor(x)) * 2 ** 32) | 0;
const START = primes(8).map((p) => fraction(Math.sqrt(p)));
const ROUND = Int32Array.from(primes(64), (p) => fraction(Math.cbrt(p)));

/** The digest as 64 hex digits: by the browser's own code where it lets us. Throws what reading the blob throws. */
export async function hexDigest(blob) {
  const digest = self.crypto?.subtle ? await crypto.subtle.digest("SHA-256", await blob.arrayBuffer()) : await sha256(blob);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The digest, 32 bytes, of a blob, which is read piece by piece. */
export async function sha256(blob) {
  const hash = Int32Array.from(START);
  const words = new Int32Array(64);
  let rest = new Uint8Array(0);
  for (const reader = blob.stream().getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    rest = absorb(hash, words, join(rest, value));
  }
  absorb(hash, words, join(rest, padding(rest.length, blob.size)));
  const digest = new DataView(new ArrayBuffer(32));
  hash.forEach((word, i) => digest.setInt32(i * 4, word));
  return digest.buffer;
}

function join(head, tail) {
  if (!head.length) return tail;
  const whole = new Uint8Array(head.length + tail.length);
  whole.set(head);
  whole.set(tail, head.length);
  return whole;
}

function padding(used, total) {
  const bytes = new Uint8Array((used < 56 ? 64 : 128) - used);
  bytes[0] = 0x80;
  const view = new DataView(bytes.buffer);
  view.setUint32(bytes.length - 8, Math.floor(total / 2 ** 29));
  view.setUint32(bytes.length - 4, (total * 8) >>> 0);
  return bytes;
}

function absorb(hash, words, bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const whole = bytes.length - (bytes.length % 64);
  for (let at = 0; at < whole; at += 64) compress(hash, words, view, at);
  return bytes.slice(whole);
}

function compress(hash, w, view, at) {
  for (let i = 0; i < 16; i++) w[i] = view.getInt32(at + i * 4);
  for (let i = 16; i < 64; i++) {
    const x = w[i - 15];
    const y = w[i - 2];
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
  }
  let [a, b, c, d, e, f, g, h] = hash;
  for (let i = 0; i < 64; i++) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + ROUND[i] + w[i]) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g; g = f; f = e; e = (d + t1) | 0;
    d = c; c = b; b = a; a = (t1 + t2) | 0;
  }
  [a, b, c, d, e, f, g, h].forEach((word, i) => (hash[i] += word));
}

// Hashes blobs beside the page, so that it stays quick: {id, blob} in, {id, sha256} or {id, error} out.

import { sha256 } from "./sha256.js";

self.onmessage = async ({ data: { id, blob } }) => {
  try {
    const digest = self.crypto.subtle ? await crypto.subtle.digest("SHA-256", await blob.arrayBuffer()) : await sha256(blob);
    self.postMessage({ id, sha256: hex(digest) });
  } catch (error) {
    self.postMessage({ id, error: error.name });
  }
};

const hex = (buffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");

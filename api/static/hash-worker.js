// Hashes blobs beside the page, so that it stays quick: {id, blob} in, {id, sha256} or {id, error} out.

import { hexDigest } from "./sha256.js";

self.onmessage = async ({ data: { id, blob } }) => {
  try {
    self.postMessage({ id, sha256: await hexDigest(blob) });
  } catch (error) {
    self.postMessage({ id, error: error.name });
  }
};

// SHA-256 of files and parts, two at a time: a file is read whole for it, and a phone's memory is small.

import { gate } from "./gate.js";
import { hexDigest } from "./sha256.js";

const twoAtOnce = gate(2);
const waiting = new Map();
let worker = null;
let workers = true; // false once none has started: before Firefox 114 a worker cannot be a module
let ids = 0;

/** The SHA-256 of a blob as 64 hex digits. Rejects with Unreadable if the browser cannot read it. */
export const digest = (blob) => twoAtOnce(() => askWorker(blob));

const UNREADABLE = "The browser could not read this file; it may have been moved or changed. Choose it again.";

/** The file cannot be read (any more). */
export class Unreadable extends Error {}

function askWorker(blob) {
  if (!workers) return digestHere(blob);
  worker ??= startWorker();
  return new Promise((resolve, reject) => {
    waiting.set(++ids, { blob, resolve, reject });
    worker.postMessage({ id: ids, blob });
  });
}

function startWorker() {
  let answered = false;
  const started = new Worker(new URL("./hash-worker.js", import.meta.url), { type: "module" });
  started.onmessage = ({ data: { id, sha256, error } }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    answered = true;
    if (error) reject(new Unreadable(UNREADABLE));
    else resolve(sha256);
  };
  started.onerror = (event) => {
    event.preventDefault(); // what it could not do is done here
    workers = answered || navigator.onLine === false; // such a one, or one that could not be fetched, is started again
    worker = null;
    for (const { blob, resolve, reject } of waiting.values()) digestHere(blob).then(resolve, reject);
    waiting.clear();
  };
  return started;
}

function digestHere(blob) {
  return hexDigest(blob).catch(() => Promise.reject(new Unreadable(UNREADABLE)));
}

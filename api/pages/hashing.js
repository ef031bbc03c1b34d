// SHA-256 of files and parts, two at a time: a file is read whole for it, and a phone's memory is small.

import { gate } from "./gate.js";

const twoAtOnce = gate(2);
const waiting = new Map();
let worker = null;
let ids = 0;

/** The SHA-256 of a blob as 64 hex digits. Rejects with Unreadable if the browser cannot read it. */
export const digest = (blob) => twoAtOnce(() => ask(blob));

/** The file cannot be read (any more). */
export class Unreadable extends Error {}

function ask(blob) {
  worker ??= start();
  return new Promise((resolve, reject) => {
    waiting.set(++ids, { resolve, reject });
    worker.postMessage({ id: ids, blob });
  });
}

function start() {
  const started = new Worker(new URL("./hash-worker.js", import.meta.url), { type: "module" });
  started.onmessage = ({ data: { id, sha256, error } }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (error) reject(new Unreadable("The browser could not read this file. Was it moved or changed?"));
    else resolve(sha256);
  };
  started.onerror = () => {
    for (const { reject } of waiting.values()) reject(new Unreadable("The browser could not compute the checksum."));
    waiting.clear();
    worker = null;
  };
  return started;
}

// Retries: which failures are worth another try, and how long to wait before it.

import { full, outage, unpaused } from "./pauses.js";
import { duration } from "./words.js";

const ATTEMPTS = 16; // their pauses add up to two minutes at least: a service that restarts is waited for
const MAX_RETRY_AFTER = 60;
const MAX_PAUSES = 360; // seconds that all pauses of a task may last together, whatever Retry-After says
const INSUFFICIENT_STORAGE = 507; // Insufficient Storage (RFC 4918, 11.5): waiting does not help
const SILENT_TRIES = 2; // tries that fail without an event
const EVENT_INTERVAL = 5000; // ms between two events, however many tasks fail

/** Sends `retrying` events with the detail `{text, seconds}`: what is tried again, and for how long to show it. */
export const retryEvents = new EventTarget();
let lastEventAt = -Infinity;

/**
 * Run `task` until it succeeds; an error whose `retry` is true gets another try, after a pause that grows.
 *
 * While Shoebox cannot be reached or the storage is full (an error with `full`), no task is tried and no try counts.
 */
export async function withRetries(task, { signal, attempts = ATTEMPTS } = {}) {
  let failedAt;
  let paused = 0;
  for (let attempt = 1; ; attempt++) {
    signal?.throwIfAborted();
    await unpaused(signal);
    try {
      return await task();
    } catch (error) {
      if (error.full || (error.retry && error.status === 0)) {
        const ended = error.full ? full(error.message, signal) : outage(signal);
        if (await ended) {
          [attempt, paused, failedAt] = [0, 0, undefined];
          continue;
        }
      }
      if (!error.retry || attempt >= attempts) throw error;
      // Retry-After is a minimum: "1" does not ask everybody to come every second.
      const seconds = Math.max(backOff(attempt), error.retryAfter ?? 0);
      paused += seconds;
      if (paused > MAX_PAUSES) throw error;
      failedAt ??= performance.now();
      if (attempt > SILENT_TRIES) announce(`${error.message} Trying again for ${duration((performance.now() - failedAt) / 1000)}.`, seconds);
      await pause(seconds, signal);
    }
  }
}

function announce(text, seconds) {
  if (performance.now() < lastEventAt + EVENT_INTERVAL) return;
  lastEventAt = performance.now();
  retryEvents.dispatchEvent(new CustomEvent("retrying", { detail: { text, seconds: seconds + EVENT_INTERVAL / 1000 } }));
}

/** True for a status that may pass: no response (0), throttled, timed out, or the server's fault, but not a full disk. */
export const isRetryable = (status) => status === 0 || status === 408 || status === 429 || (status >= 500 && status !== INSUFFICIENT_STORAGE);

/** Seconds of a Retry-After header (RFC 9110, 10.2.3: seconds or a date), bounded; undefined without one. */
export function retryAfter(value) {
  if (!value) return undefined;
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 0), MAX_RETRY_AFTER) : undefined;
}

/** Wait `seconds`; rejects at once when `signal` aborts. */
export function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, seconds * 1000);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

// Clients that failed together must not come back together, so each waits a random part of its pause (jitter).
const backOff = (attempt) => Math.min(0.5 * 2 ** attempt, 20) * (0.5 + Math.random() / 2);

// Passing faults: what is worth another try, and how long to wait before it.

const ATTEMPTS = 6;
const LONGEST_PAUSE = 60;

/** Run `task` until it succeeds; an error whose `retry` is true gets another try, after a pause that grows. */
export async function persist(task, { signal, attempts = ATTEMPTS } = {}) {
  for (let attempt = 1; ; attempt++) {
    signal?.throwIfAborted();
    try {
      return await task();
    } catch (error) {
      if (!error.retry || attempt >= attempts) throw error;
      await pause(error.retryAfter ?? backOff(attempt), signal);
      await online(signal);
    }
  }
}

/** True for a status that may pass: no answer at all (0), throttled, timed out, or the server's own fault. */
export const passing = (status) => status === 0 || status === 408 || status === 429 || status >= 500;

/** Seconds of a Retry-After header (RFC 9110, 10.2.3: seconds or a date), bounded; undefined without one. */
export function retryAfter(value) {
  if (!value) return undefined;
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 0), LONGEST_PAUSE) : undefined;
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

// Full pauses would bring all rivals back together, so each takes a random share.
const backOff = (attempt) => Math.min(0.5 * 2 ** attempt, 20) * (0.5 + Math.random() / 2);

async function online(signal) {
  while (navigator.onLine === false) await pause(1, signal);
}

// Pauses of all requests: no connection, or a full storage. Meanwhile nothing is tried, and no attempt is used up.

const ADDRESS = new URL("icon.svg", import.meta.url); // any response from there proves a connection
const PROBE_TIMEOUT = 10_000; // ms
const FIRST_PAUSE = 2; // seconds between two probes; each is twice as long as the last, up to the longest
const MAX_PAUSE = 30;
const OFFLINE = "You are offline. Uploads are paused and go on by themselves when the connection is back.";
const UNREACHABLE = "Shoebox cannot be reached. Uploads are paused and go on by themselves when it answers again.";

let current = null; // {text, over, end}

/** Sends `change` when a pause begins, ends, or has another reason. */
export const pauses = new EventTarget();

/** Why everything waits, as `{text, end}`, or null. `end()` ends what only a person can end; else it is null. */
export const currentPause = () => current && { text: current.text, end: current.end };

/** Wait until nothing has to wait. Rejects as soon as `signal` aborts. */
export async function unpaused(signal) {
  while (current) await unlessAborted(signal, current.over);
}

/** A request got no answer. True once an outage is over; false if Shoebox answers, so that the fault is another. */
export async function outage(signal) {
  if (!current && navigator.onLine !== false && (await isReachable())) return false;
  if (!current) begin(textOfOutage(), untilBack());
  await unpaused(signal);
  return true;
}

/** The storage is full, as its `sentence` says; true once somebody wants to go on. */
export async function full(sentence, signal) {
  if (!current) {
    let end;
    const over = new Promise((resolve) => (end = resolve));
    begin(`${sentence} Uploads are paused until then.`, over, end);
  }
  await unpaused(signal);
  return true;
}

function begin(text, over, end = null) {
  const ended = over.then(() => {
    current = null;
    pauses.dispatchEvent(new Event("change"));
  });
  current = { text, over: ended, end };
  pauses.dispatchEvent(new Event("change"));
}

const textOfOutage = () => (navigator.onLine === false ? OFFLINE : UNREACHABLE);

async function untilBack() {
  for (let seconds = FIRST_PAUSE; ; seconds = Math.min(2 * seconds, MAX_PAUSE)) {
    await networkChange(seconds);
    if (navigator.onLine !== false && (await isReachable())) return;
    if (current.text === textOfOutage()) continue;
    current.text = textOfOutage();
    pauses.dispatchEvent(new Event("change"));
  }
}

async function isReachable() {
  const probe = new AbortController();
  const timer = setTimeout(() => probe.abort(), PROBE_TIMEOUT);
  const request = { method: "HEAD", cache: "no-store", credentials: "omit", signal: probe.signal };
  const answered = await fetch(ADDRESS, request).then(
    () => true,
    () => false,
  );
  clearTimeout(timer);
  return answered;
}

/** Wait for `seconds`, or until the browser says that its network is back. */
function networkChange(seconds) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      window.removeEventListener("online", done);
      resolve();
    };
    const timer = setTimeout(done, seconds * 1000);
    window.addEventListener("online", done);
  });
}

function unlessAborted(signal, promise) {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) return stop();
    signal.addEventListener("abort", stop, { once: true });
    promise.then(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    });
  });
}

window.addEventListener("offline", () => current || begin(OFFLINE, untilBack()));
if (navigator.onLine === false) begin(OFFLINE, untilBack());

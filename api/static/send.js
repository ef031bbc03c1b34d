// Bytes to a presigned URL. XMLHttpRequest, because fetch tells nothing about an upload's progress.

import { isRetryable, withRetries, retryAfter } from "./retry.js";
import { sentence } from "./words.js";

const PROGRESS_TIMEOUT = 90_000; // ms without progress after which a connection counts as dead, as when a phone changes networks
const EXPIRY_MARGIN = 5000; // ms before its end at which a URL counts as expired
// The browser sets these itself and refuses to be told (Fetch, "forbidden request-header").
const FORBIDDEN_HEADERS = new Set(["content-length", "host"]);

/** S3 did not take the bytes. `expired`: the URL is too old, ask for another; `full`: there is no room for them. */
export class SendError extends Error {
  constructor({ status, body, wait }) {
    super(status ? messageOf(status, body) : "The connection to the storage broke.");
    this.status = status;
    this.full = status === 507;
    this.expired = status === 403;
    this.retry = isRetryable(status);
    this.retryAfter = wait;
  }
}

/**
 * Send `body` as `upload` ({method, url, headers, expires_at}) says, with retries after temporary failures.
 *
 * `renew()` gives another such upload in place of an expired one, or null where the bytes have arrived otherwise;
 * a URL that is refused is renewed once. `onProgress(bytes)` tells how many are out.
 */
export function send(upload, body, { renew, signal, onProgress }) {
  let renewed = false;
  return withRetries(
    async () => {
      if (Date.parse(upload.expires_at) < Date.now() + EXPIRY_MARGIN) upload = await renew();
      try {
        if (upload) await sendOnce(upload, body, { signal, onProgress });
      } catch (error) {
        if (!error.expired || renewed) throw error;
        renewed = true;
        upload = await renew();
        if (upload) await sendOnce(upload, body, { signal, onProgress });
      }
    },
    { signal },
  );
}

function sendOnce(upload, body, { signal, onProgress }) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const request = new XMLHttpRequest();
    const stop = () => request.abort();
    let timeout;
    const restartTimeout = () => {
      clearTimeout(timeout);
      timeout = setTimeout(stop, PROGRESS_TIMEOUT);
    };
    request.open(upload.method, upload.url);
    for (const [name, value] of Object.entries(upload.headers)) {
      if (!FORBIDDEN_HEADERS.has(name.toLowerCase())) request.setRequestHeader(name, value);
    }
    request.upload.onprogress = ({ loaded }) => {
      restartTimeout();
      onProgress(Math.min(loaded, body.size));
    };
    request.onloadend = () => {
      clearTimeout(timeout);
      signal.removeEventListener("abort", stop);
      if (signal.aborted) reject(signal.reason);
      else if (request.status >= 200 && request.status < 300) resolve();
      else reject(new SendError({ status: request.status, body: request.responseText, wait: waitOf(request) }));
    };
    signal.addEventListener("abort", stop, { once: true });
    restartTimeout();
    request.send(body);
  });
}

// S3 says why in an XML document; read as HTML, for a broken one must not bring the browser's own error page.
function messageOf(status, body) {
  const message = new DOMParser().parseFromString(body, "text/html").querySelector("error > message")?.textContent;
  if (status === 507) return sentence(message ?? "The storage is full; make room, then try again");
  return message ? `The storage refused the upload (${status}): ${sentence(message)}` : `The storage answered with status ${status}.`;
}

// Asking for a header that CORS does not expose logs an error; reading them all does not.
function waitOf(request) {
  return retryAfter(/^retry-after: *(.+)$/im.exec(request.getAllResponseHeaders())?.[1]);
}

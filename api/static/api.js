// Shoebox's HTTP API: one method a call. An error response is thrown as a Problem (RFC 9457), after retries of temporary failures.

import { isRetryable, withRetries, retryAfter } from "./retry.js";

// Relative to this module, so that the page also works below a stage's path (/prod/…).
const BASE = new URL("../v1/", import.meta.url);
const FOREGROUND_ATTEMPTS = 3; // attempts while somebody looks at an empty page

/** An error response of the API, or of something on the way to it. `status` is 0 if there was no response. */
export class Problem extends Error {
  constructor({ status, code, detail, wait }) {
    super(detail);
    this.status = status;
    this.code = code;
    this.retry = isRetryable(status);
    this.retryAfter = wait;
  }
}

export class Api {
  #token;
  #onUnauthorized;

  /** `token()` gives the token to send; `onUnauthorized(problem)` is called whenever it is refused. */
  constructor(token, onUnauthorized) {
    this.#token = token;
    this.#onUnauthorized = onUnauthorized;
  }

  limits() {
    return this.#call("GET", "limits", { attempts: FOREGROUND_ATTEMPTS });
  }

  async register(files) {
    return (await this.#call("POST", "files", { body: { files } })).files;
  }

  /** A page of the owner's files, newest first: `{files, next_cursor}`. */
  list({ cursor, state, signal }) {
    return this.#call("GET", "files", { query: { limit: 50, ...(cursor && { cursor }), ...(state && { state }) }, attempts: FOREGROUND_ATTEMPTS, signal });
  }

  /** Those of up to 100 files that exist. */
  async byIds(ids) {
    return (await this.#call("GET", "files", { query: ids.map((id) => ["id", id]) })).files;
  }

  /** Delete a file; one that is gone already is as good as deleted. */
  async remove(id) {
    try {
      await this.#call("DELETE", `files/${id}`);
    } catch (error) {
      if (error.status !== 404) throw error;
    }
  }

  /** Open a multipart upload, or find the open one: `{upload_id, part_bytes, parts}`. */
  openMultipart(id, signal) {
    return this.#call("POST", `files/${id}/multipart`, { signal });
  }

  async partsDone(id, uploadId, signal) {
    return (await this.#call("GET", `files/${id}/multipart/${encodeURIComponent(uploadId)}`, { signal })).done;
  }

  /** Where to send one part whose SHA-256 (hex) is known: `{method, url, headers, expires_at}`. */
  async partUpload(id, uploadId, part, sha256, signal) {
    const body = { parts: [{ part, sha256 }] };
    return (await this.#call("POST", `files/${id}/multipart/${encodeURIComponent(uploadId)}/parts`, { body, signal })).parts[0];
  }

  completeMultipart(id, uploadId, signal) {
    return this.#call("POST", `files/${id}/multipart/${encodeURIComponent(uploadId)}/complete`, { signal });
  }

  abortMultipart(id, uploadId) {
    return this.#call("DELETE", `files/${id}/multipart/${encodeURIComponent(uploadId)}`);
  }

  async #call(method, path, { body, query, attempts, signal } = {}) {
    const url = new URL(path, BASE);
    if (query) url.search = new URLSearchParams(query);
    const headers = { authorization: `Bearer ${this.#token()}`, ...(body && { "content-type": "application/json" }) };
    const request = { method, headers, body: body && JSON.stringify(body), signal, cache: "no-store", credentials: "omit" };
    try {
      return await withRetries(() => fetchOnce(url, request), { attempts, signal });
    } catch (error) {
      error.retry = false; // it was retried here
      if (error.status === 401) this.#onUnauthorized(error);
      throw error;
    }
  }
}

async function fetchOnce(url, request) {
  let response;
  try {
    response = await fetch(url, request);
    if (response.ok) return response.status === 204 ? null : await response.json();
  } catch (error) {
    if (request.signal?.aborted) throw request.signal.reason;
    throw new Problem({ status: 0, code: "unreachable", detail: "Shoebox cannot be reached." });
  }
  const problem = await response.json().catch(() => ({}));
  throw new Problem({
    status: response.status,
    code: problem.code ?? "unknown",
    detail: problem.detail ?? `Shoebox answered with status ${response.status} and no reason.`,
    wait: retryAfter(response.headers.get("retry-after")),
  });
}

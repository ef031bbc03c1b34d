// A large file in parts: parts that S3 has already are not sent again, even after the page was closed.

import { digest } from "./hashing.js";
import { send } from "./send.js";

const ROUNDS = 3;

/**
 * Send `file` as the parts of file `fileId` and complete it. `throughGate(task)` bounds how many parts go at once.
 *
 * A part that went missing meanwhile (409) or an upload that was aborted elsewhere (404) starts another round.
 */
export async function sendInParts(api, fileId, file, { throughGate, signal, onOpen, onProgress }) {
  for (let round = 1; ; round++) {
    const { upload_id: uploadId, part_bytes: partBytes } = await api.openMultipart(fileId, signal);
    onOpen(uploadId);
    try {
      await sendMissing(api, { fileId, uploadId, file, partBytes }, { throughGate, signal, onProgress });
      await api.completeMultipart(fileId, uploadId, signal);
      return;
    } catch (error) {
      if (![404, 409].includes(error.status) || round === ROUNDS) throw error;
      if (await isComplete(api, fileId)) return;
    }
  }
}

// It was completed, but the response was lost: then the file may be finished and its upload gone.
async function isComplete(api, fileId) {
  const [file] = await api.byIds([fileId]);
  return file !== undefined && file.state !== "REGISTERED";
}

async function sendMissing(api, target, { throughGate, signal, onProgress }) {
  const held = await api.partsDone(target.fileId, target.uploadId, signal);
  const done = new Map(held.map(({ part, size }) => [part, size]));
  const sent = new Map();
  const tell = (part, bytes) => {
    sent.set(part, bytes);
    onProgress(Array.from(sent.values()).reduce((sum, n) => sum + n, 0));
  };
  const either = new AbortController(); // one part's failure ends the others, as the upload's own end does
  const stop = () => either.abort(signal.reason);
  signal.addEventListener("abort", stop);
  if (signal.aborted) stop();
  const tasks = partsOf(target.file, target.partBytes).map(({ part, blob }) => {
    if (done.get(part) === blob.size) return tell(part, blob.size);
    return throughGate(() => sendPart(api, target, { part, blob }, either.signal, (bytes) => tell(part, bytes)));
  });
  try {
    await Promise.all(tasks);
  } catch (error) {
    either.abort(error);
    await Promise.allSettled(tasks);
    throw error;
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

async function sendPart(api, { fileId, uploadId }, { part, blob }, signal, onProgress) {
  signal.throwIfAborted();
  const sha256 = await digest(blob);
  const renew = () => api.partUpload(fileId, uploadId, part, sha256, signal);
  await send(await renew(), blob, { renew, signal, onProgress });
}

function partsOf(file, partBytes) {
  return Array.from({ length: Math.ceil(file.size / partBytes) }, (_, i) => {
    return { part: i + 1, blob: file.slice(i * partBytes, (i + 1) * partBytes) };
  });
}

// The view model of a tile: state, note, why it failed, progress, and actions.
// A photo is {key, order, upload, file}: an upload of this page, a file that Shoebox holds, or both.

import { reason, sentence, size } from "./words.js";

const UNFINISHED_AFTER = 120_000; // ms after which a registered file that nobody here sends counts as left behind
const STATE_NOTES = { waiting: "Waiting", hashing: "Checking", registering: "Checking", processing: "Being prepared", cancelled: "Cancelled" };
const RETRYABLE_REASONS = new Set(["size_mismatch", "checksum_mismatch"]);
const ACTIONS = {
  waiting: ["cancel"],
  hashing: ["cancel"],
  registering: ["cancel"],
  sending: ["cancel"],
  processing: ["remove"],
  unfinished: ["remove"],
  ready: ["remove"],
  rejected: ["remove"],
  refused: ["dismiss"],
  failed: ["retry", "dismiss"],
  cancelled: ["retry", "dismiss"],
};

export function viewOf(photo) {
  const { upload, file } = photo;
  const state = stateOf(photo);
  const view = { state, name: file?.name ?? upload.name, note: STATE_NOTES[state] ?? "", why: null, progress: null, actions: ACTIONS[state] };
  switch (state) {
    case "waiting":
      return { ...view, progress: 0 };
    case "sending":
      return { ...view, note: `${percent(upload)} of ${size(upload.size)}`, progress: upload.sent / upload.size };
    case "ready":
      return { ...view, note: upload?.already ? "Already stored" : facts(file) };
    case "rejected":
      return { ...view, note: "Rejected", why: { title: reason(file.reason), detail: sentence(file.detail ?? "") }, actions: rejectedActions(photo) };
    case "unfinished":
      return { ...view, note: "Not finished", why: { title: "Its upload did not finish", detail: "Choose the file again to go on." } };
    case "refused":
      return { ...view, note: "Not uploaded", why: upload };
    case "failed":
      return { ...view, note: "Failed", why: upload };
  }
  return view;
}

/** Whether a state belongs to a filter: "" (all), READY or REJECTED. */
export function matches(filter, state) {
  if (filter === "READY") return state === "ready";
  return filter !== "REJECTED" || state === "rejected" || state === "refused";
}

function stateOf({ upload, file }) {
  if (upload) return upload.state;
  if (file.state !== "REGISTERED") return file.state.toLowerCase();
  return Date.now() - Date.parse(file.registered_at) > UNFINISHED_AFTER ? "unfinished" : "processing";
}

function rejectedActions({ upload, file }) {
  return upload?.file && RETRYABLE_REASONS.has(file.reason) ? ["retry", "remove"] : ["remove"];
}

const percent = ({ sent, size: total }) => `${Math.floor((100 * sent) / total)} %`;
const facts = (file) => `${file.width} × ${file.height} · ${size(file.size)}`;

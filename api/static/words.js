// Texts of the page: sizes, counts, and a sentence for each of the API's codes.

const REASONS = {
  size_mismatch: "Not the whole file arrived",
  checksum_mismatch: "The file changed on its way",
  content_encoding: "The file was encoded on its way",
  wrong_type: "Not the kind of file its name says",
  unsupported_type: "Not a picture Shoebox takes",
  empty: "The file is empty",
  truncated: "The file is cut off",
  corrupt: "The file is damaged",
  too_many_pixels: "The picture has too many pixels",
  too_large: "The file is too large",
  too_costly: "The picture takes too long to prepare",
};
// What was tolerated in a picture (docs/reference/warnings.md).
const WARNINGS = {
  adobe_transform_unknown: "It names an unknown colour transform, so its colours may differ.",
  cmyk_without_profile: "It is made for print and has no colour profile, so its colours may differ.",
  end_marker_missing: "The mark of the file's end is missing; the picture is whole.",
  extraneous_bytes: "The file holds bytes that belong to nothing; the picture is whole.",
  hdr_clipped: "It is an HDR picture; what is brighter than white paper is white here.",
  icc_profile_broken: "Its colour profile is damaged, so its colours may differ.",
  jfif_revision_unknown: "The file names an unknown revision of its format; the picture is whole.",
  later_frame_damaged: "A later frame of it is damaged; only the first one is used.",
  length_wrong: "The file names a wrong length; the picture is whole.",
  metadata_damaged: "Something noted in the file, such as date or camera, is damaged and left out; the picture is whole.",
  scan_header_wrong: "A part of the file is described wrongly; the picture is whole.",
  trailing_bytes: "Bytes follow the file's end; the picture is whole.",
};
const PROBLEMS = {
  size_zero: "The file is empty",
  size_too_large: "The file is too large",
  type_unsupported: "Not a picture Shoebox takes",
  name_invalid: "Shoebox cannot keep this name",
  scope_missing: "This token may not do that",
  unreachable: "No connection",
};
const KINDS = { "image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WebP", "image/heic": "HEIC", "image/avif": "AVIF", "image/gif": "GIF" };

/** Why a file was rejected, in a few words. */
export const reason = (code) => REASONS[code] ?? "The picture was not accepted";

/** What was tolerated in a picture, as a sentence. */
export const warning = (code) => WARNINGS[code] ?? `Something in the file is unusual (${code}); the picture is whole.`;

/** What went wrong, in a few words. */
export const problemTitle = (code) => PROBLEMS[code] ?? "The upload failed";

/** `1.5 MB`, by powers of 1000 as in SI; `size_text` of the command line says the same. */
export function size(bytes) {
  if (Math.round(bytes) < 1000) return `${Math.round(bytes)} B`;
  const tenths = (power) => Math.round((bytes / 1000 ** power) * 10);
  const power = [1, 2, 3].find((power) => tenths(power) < 10_000) ?? 4; // what would be rounded to 1000 has the next unit
  return `${(tenths(power) / 10).toFixed(1)} ${["kB", "MB", "GB", "TB"][power - 1]}`;
}

/** `text` with a capital letter and a full stop. */
export const sentence = (text) => text && text[0].toUpperCase() + text.slice(1).replace(/([^.!?])$/, "$1.");

/** `1 photo`, `3 photos`. */
export const count = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

/** `JPEG, PNG or GIF` of a list of media types. */
export function kinds(types) {
  const names = [...new Set(types.map((type) => KINDS[type]).filter(Boolean))];
  return names.length > 1 ? `${names.slice(0, -1).join(", ")} or ${names.at(-1)}` : names.join("");
}

/** `about 2 minutes`. */
export function duration(seconds) {
  if (seconds < 5) return "a few seconds";
  if (seconds < 90) return `about ${Math.round(seconds / 5) * 5} seconds`;
  return `about ${count(Math.round(seconds / 60), "minute")}`;
}

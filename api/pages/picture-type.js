// What a file is, and whether Shoebox may take it: checked before a byte moves. Shoebox decides again by the bytes.

import { kinds, size } from "./words.js";

const BY_ENDING = { jpg: "image/jpeg", jpeg: "image/jpeg", png: "image/png", webp: "image/webp", gif: "image/gif", heic: "image/heic", heif: "image/heif" };
const NAME_BYTES = 255;
const VISIBLE_FORMAT = /[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u{110bd}\u{110cd}]/u;
const INVISIBLE = /[\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0]/u;
const CURSIVE =
  /^[\u0620-\u077f\u07c0-\u07ff\u0840-\u08ff\u1820-\u18aa\ua840-\ua87f\u{10ac0}-\u{10aff}\u{10b80}-\u{10baf}\u{10d00}-\u{10d3f}\u{10f30}-\u{10fdf}\u{1e900}-\u{1e95f}]$/u;
// England, Scotland, Wales: a black flag and gbeng, gbsct or gbwls in tags.
const FLAG =
  /^\u{1f3f4}\u{e0067}\u{e0062}(?:\u{e0065}\u{e006e}\u{e0067}|\u{e0073}\u{e0063}\u{e0074}|\u{e0077}\u{e006c}\u{e0073})\u{e007f}$/u;
const UNIT = new RegExp(`${FLAG.source.slice(1, -1)}|.`, "gsu");

/** The media type of a file: by its first bytes, else as the browser says, else by its name. */
export async function typeOf(file) {
  const head = new Uint8Array(await file.slice(0, 12).arrayBuffer());
  const text = String.fromCharCode(...head);
  if (text.startsWith("\xff\xd8\xff")) return "image/jpeg";
  if (text.startsWith("\x89PNG\r\n")) return "image/png";
  if (/^GIF8[79]a/.test(text)) return "image/gif";
  if (/^RIFF....WEBP/s.test(text)) return "image/webp";
  if (/^....ftyp(hei[cxms]|hev[cxms]|mif1|msf1)/s.test(text)) return "image/heic";
  return file.type || BY_ENDING[file.name.split(".").at(-1).toLowerCase()] || "";
}

/** Why a file cannot be taken, as `{title, detail}`; null if it can. */
export function refusal(file, type, limits) {
  if (file.size === 0) return { title: "The file is empty", detail: "There is nothing in it to upload." };
  if (!limits.content_types.includes(type)) {
    const detail = `Shoebox takes ${kinds(limits.content_types)}${type ? `; this is ${type}` : ""}.`;
    return { title: "Not a picture Shoebox takes", detail };
  }
  if (file.size > limits.max_bytes) {
    return { title: "The file is too large", detail: `It has ${size(file.size)}; a photo may have ${size(limits.max_bytes)}.` };
  }
  return null;
}

/** The file's name as Shoebox keeps it (shoebox/names.py has the rule): nothing invisible, no path, at most 255 bytes. */
export function nameOf(file) {
  const cleaned = clean(cut(clean((file.name || "photo").normalize("NFC")))).normalize("NFC"); // a cut may leave half a flag
  return cleaned.trim() && cleaned !== "." && cleaned !== ".." ? cleaned : "photo";
}

// No lookbehind, which Safari has only since 16.4.
function clean(name) {
  const units = name.match(UNIT) ?? [];
  let before = "";
  return units
    .map((unit, i) => {
      const safe = mayStand(before, unit, units[i + 1] ?? "");
      before = safe ? String.fromCodePoint(unit.codePointAt(0)) : "";
      if (safe) return unit;
      if (/\p{Cs}/u.test(unit)) return "\ufffd";
      return INVISIBLE.test(unit) || /\p{Cf}/u.test(unit) ? "" : "_";
    })
    .join("");
}

function mayStand(before, unit, after) {
  if (/^[\u200c\u200d]$/u.test(unit)) {
    if (/[^\0-\x7f]/u.test(before) && /[\p{L}\p{M}\p{S}]/u.test(before)) return true;
    return unit === "\u200c" && /[\p{L}\p{N}]/u.test(before) && CURSIVE.test(after) && /\p{L}/u.test(after);
  }
  if (FLAG.test(unit) || VISIBLE_FORMAT.test(unit)) return true;
  return !INVISIBLE.test(unit) && !/[\p{Cf}\p{Cc}\p{Cs}\p{Zl}\p{Zp}\\/]/u.test(unit);
}

// But for its ending.
function cut(name) {
  const bytes = (text) => new TextEncoder().encode(text).length;
  if (bytes(name) <= NAME_BYTES) return name;
  const ending = /\.[A-Za-z0-9]{1,8}$/.exec(name)?.[0] ?? "";
  const letters = Array.from(name.slice(0, name.length - ending.length));
  while (bytes(letters.join("") + ending) > NAME_BYTES) letters.pop();
  return letters.join("") + ending;
}

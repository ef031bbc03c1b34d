// What a file is, and whether Shoebox may take it: checked before a byte moves. Shoebox decides again by the bytes.

import types from "./picture-types.js";
import { kinds, size } from "./words.js";

const PATTERNS = types.signatures.map(([type, pattern]) => [type, new RegExp(`^(?:${pattern})`, "s")]);
const OF_BRAND = new Map(Object.entries(types.brands).flatMap(([type, brands]) => brands.map((brand) => [brand, type])));
const OF_ENDING = new Map(Object.entries(types.endings).flatMap(([type, endings]) => endings.map((ending) => [ending, type])));
const NAME_BYTES = 255;
const VISIBLE_FORMAT = /[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u{110bd}\u{110cd}]/u;
const INVISIBLE = /[\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0]/u;
const CURSIVE =
  /^[\u0620-\u077f\u07c0-\u07ff\u0840-\u08ff\u1820-\u18aa\ua840-\ua87f\u{10ac0}-\u{10aff}\u{10b80}-\u{10baf}\u{10d00}-\u{10d3f}\u{10f30}-\u{10fdf}\u{1e900}-\u{1e95f}]$/u;
// England, Scotland, Wales: a black flag and gbeng, gbsct or gbwls in tags.
const FLAG =
  /^\u{1f3f4}\u{e0067}\u{e0062}(?:\u{e0065}\u{e006e}\u{e0067}|\u{e0073}\u{e0063}\u{e0074}|\u{e0077}\u{e006c}\u{e0073})\u{e007f}$/u;
const UNIT = new RegExp(`${FLAG.source.slice(1, -1)}|.`, "gsu");

/** The media type of a file, or "": by its first bytes, else by its name (shoebox_client/picture_types.py has the rules), else as the browser says. */
export async function typeOf(file) {
  const head = String.fromCharCode(...new Uint8Array(await file.slice(0, types.head_bytes).arrayBuffer()));
  const found = sniff(head);
  const named = OF_ENDING.get(/\.([^.]*)$/.exec(file.name)?.[1].toLowerCase());
  if (found === "image/tiff" && types.raw_tiffs.includes(named)) return named;
  if (found === types.heif) return named === "image/avif" ? named : "image/heic";
  return found || (head.slice(4, 8) === "ftyp" ? "" : named) || file.type || "";
}

function sniff(head) {
  if (head.slice(4, 8) === "ftyp") return ofBrands(head);
  return PATTERNS.find(([, pattern]) => pattern.test(head))?.[0];
}

function ofBrands(head) {
  const length = [0, 1, 2, 3].reduce((sum, i) => sum * 256 + head.charCodeAt(i), 0);
  const listed = head.slice(8, length < 16 ? 16 : length).match(/.{4}/gs) ?? [];
  const brands = listed.filter((_, i) => i !== 1); // the minor version
  const generic = brands.some((brand) => types.any_coding.includes(brand));
  const codings = brands.map((brand) => OF_BRAND.get(brand)).filter(Boolean);
  const pictures = generic && !OF_BRAND.has(brands[0]) ? codings.filter((type) => type.startsWith("image/")) : codings;
  return pictures[0] ?? (generic ? types.heif : undefined);
}

/** Why a file cannot be taken, as `{title, detail}`; null if it can. */
export function refusal(file, type, limits) {
  if (file.size === 0) return { title: "The file is empty", detail: "There is nothing in it to upload." };
  if (!limits.content_types.includes(type)) {
    const [name, advice] = types.refused[type] ?? [];
    const taken = `Shoebox takes ${kinds(limits.content_types)}${type ? `; this is ${type}` : ""}.`;
    const detail = name ? `${name} is not accepted; ${advice}.` : taken; // short: a phone's tile has seven lines
    return { title: "Not a picture Shoebox takes", detail };
  }
  if (file.size > limits.max_bytes) {
    return { title: "The file is too large", detail: `It has ${size(file.size)}; a photo may have ${size(limits.max_bytes)}.` };
  }
  return null;
}

/** The file's name as Shoebox keeps it (shoebox_client/names.py has the rule): nothing invisible, no path, at most 255 bytes. */
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

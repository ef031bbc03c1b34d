// What a file is, and whether Shoebox may take it: checked before a byte moves. Shoebox decides again by the bytes.

import { kinds, size } from "./words.js";

const BY_ENDING = { jpg: "image/jpeg", jpeg: "image/jpeg", png: "image/png", webp: "image/webp", gif: "image/gif", heic: "image/heic", heif: "image/heif" };
const NAME_BYTES = 255;

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

/** The file's name as Shoebox keeps it: no control characters or slashes, and cut to 255 bytes, but for its ending. */
export function nameOf(file) {
  const name = (file.name || "photo").normalize("NFC").replace(/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\\/]/gu, "_");
  const bytes = (text) => new TextEncoder().encode(text).length;
  if (bytes(name) <= NAME_BYTES) return name;
  const ending = /\.[A-Za-z0-9]{1,8}$/.exec(name)?.[0] ?? "";
  const letters = Array.from(name.slice(0, name.length - ending.length));
  while (bytes(letters.join("") + ending) > NAME_BYTES) letters.pop();
  return letters.join("") + ending;
}

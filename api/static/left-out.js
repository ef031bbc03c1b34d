// Files that programs leave in folders, and that are not uploaded with a folder: names in lower case, `*` stands for
// anything, a slash at the end means folders. shoebox_client/exclusion.py has the same table, and a test compares them.

export const LEFT_OUT = {
  ".*": "hidden",
  "@eadir/": "a NAS's thumbnails",
  "@__thumb/": "a NAS's thumbnails",
  "#recycle/": "a recycle bin",
  "@recycle/": "a recycle bin",
  "$recycle.bin/": "a recycle bin",
  "__macosx/": "a Mac's additions to an archive",
  "*_original": "ExifTool's backups",
  "*.lrdata/": "Lightroom's previews",
  "ipod photo cache/": "iTunes' thumbnails",
  "*.thm": "thumbnails of videos",
  "thumbs.db": "Windows' thumbnails",
  "ehthumbs.db": "Windows' thumbnails"
};

const PATTERNS = Object.keys(LEFT_OUT).map((pattern) => {
  const literal = (text) => text.replace(/[.$?+^(){}[\]|\\]/g, "\\$&");
  return new RegExp(`^${pattern.split("*").map(literal).join(".*")}${pattern.endsWith("/") ? "" : "/?"}$`, "s");
});

/** Whether an entry of a dropped folder is left out. */
export function isLeftOut({ name, isDirectory }) {
  const text = name.toLowerCase() + (isDirectory ? "/" : "");
  return PATTERNS.some((pattern) => pattern.test(text));
}

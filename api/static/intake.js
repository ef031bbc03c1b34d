// Input of files: chosen, dropped (folders too) or pasted.

import { isLeftOut } from "./left-out.js";

/** Call `onFiles(files)` for whatever the user chooses with `chooser`, drops on the page, or pastes. */
export function takeFiles({ chooser, overlay, onFiles }) {
  chooser.addEventListener("change", () => {
    onFiles(Array.from(chooser.files));
    chooser.value = ""; // the same file may be chosen again
  });
  document.addEventListener("paste", (event) => {
    const files = Array.from(event.clipboardData?.files ?? []);
    if (files.length) onFiles(files);
  });
  takeDrops(overlay, onFiles);
}

function takeDrops(overlay, onFiles) {
  let depth = 0; // enter and leave come for every element on the way
  const show = (by) => {
    depth = Math.max(0, depth + by);
    overlay.hidden = depth === 0;
  };
  const on = (name, then) => {
    document.addEventListener(name, (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      then(event);
    });
  };
  on("dragenter", () => show(1));
  on("dragleave", () => show(-1));
  on("dragover", (event) => (event.dataTransfer.dropEffect = "copy"));
  on("drop", async (event) => {
    show(-depth);
    onFiles(await filesOf(event.dataTransfer));
  });
}

// The items are only readable before the first await.
async function filesOf(transfer) {
  const dropped = Array.from(transfer.items).filter((item) => item.kind === "file");
  const found = dropped.map((item) => {
    const entry = item.webkitGetAsEntry?.();
    return entry?.isDirectory ? filesBelow(entry) : [item.getAsFile()];
  });
  return (await Promise.all(found)).flat().filter(Boolean);
}

async function filesBelow(folder) {
  const reader = folder.createReader();
  const files = [];
  for (;;) {
    const entries = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!entries.length) return files;
    for (const entry of entries.filter((entry) => !isLeftOut(entry))) {
      if (entry.isDirectory) files.push(...(await filesBelow(entry)));
      else files.push(await new Promise((resolve) => entry.file(resolve, () => resolve(null))));
    }
  }
}

// Previews of files that are being uploaded, small and one at a time: decoding is what a phone is slowest at.

import { gate } from "./gate.js";

const SIDE = 320;
const MAX_BYTES = 40_000_000;
const oneAtATime = gate(1);

/** Draw `file` into `canvas` if it is near the screen and `wanted()` when its turn comes; what cannot be drawn is not. */
export async function preview(file, canvas, wanted) {
  if (file.size > MAX_BYTES) return;
  await oneAtATime(async () => {
    if (!wanted() || !nearScreen(canvas.parentElement)) return;
    const picture = await createImageBitmap(file, { resizeWidth: SIDE, resizeQuality: "low" }).catch(() => null);
    if (picture && wanted()) {
      canvas.width = picture.width;
      canvas.height = picture.height;
      canvas.getContext("2d").drawImage(picture, 0, 0);
      canvas.hidden = false;
      canvas.dataset.drawn = "";
    }
    picture?.close();
  });
}

function nearScreen(element) {
  const { top, bottom } = element.getBoundingClientRect();
  return bottom > -innerHeight && top < 2 * innerHeight;
}

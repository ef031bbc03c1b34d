// A question before something is deleted.

const dialog = document.getElementById("confirm");

/** Ask; resolves to true if the answer is yes. Escape is no. */
export function confirmed(title, text) {
  document.getElementById("confirm-title").textContent = title;
  document.getElementById("confirm-text").textContent = text;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

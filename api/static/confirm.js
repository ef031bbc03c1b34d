// A confirmation before something is done that cannot be undone.

const dialog = document.getElementById("confirm");

let last = Promise.resolve();

/** Ask; resolves to true if the answer is yes. Escape is no. A second question waits for the answer to the first. */
export function confirmed(title, text, words = { yes: "Delete", no: "Keep" }) {
  last = last.then(() => ask(title, text, words));
  return last;
}

function ask(title, text, { yes, no }) {
  document.getElementById("confirm-title").textContent = title;
  document.getElementById("confirm-text").textContent = text;
  document.getElementById("confirm-yes").textContent = yes;
  document.getElementById("confirm-no").textContent = no;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

// The page's start: a token first, then the gallery.

import { confirmed } from "./confirm.js";
import { Gallery } from "./gallery.js";
import * as token from "./token.js";

const element = (id) => document.getElementById(id);
let gallery = null;
let owner = null;

/** Take the token of the link that was opened; true if it is the page's token now. */
async function takeTokenFromLink() {
  const given = token.takeFromAddress();
  if (given === null || !(await mayReplaceToken(given))) return false;
  token.keep(given);
  return true;
}

/**
 * Whether a link's token may take the place of the one that is here. A stranger's link must not sign anybody in as
 * somebody else unnoticed: photos that are added then would be the stranger's. Nor does a useless token end a session.
 */
async function mayReplaceToken(given) {
  const mine = token.claims(token.current() ?? "");
  if (!mine) return true;
  const theirs = token.claims(given);
  if (!theirs || theirs.expiresAt <= Date.now()) return false;
  if (ownerOf(theirs) === ownerOf(mine)) return true;
  const text = `You are signed in as ${nameOf(mine)}. If you switch, photos that you add will belong to ${nameOf(theirs)}, and uploads under way here stop.`;
  return confirmed(`This link signs you in as ${nameOf(theirs)}`, text, { yes: "Switch", no: "Stay" });
}

function start() {
  const given = token.current();
  if (!given) return askForToken("");
  const claims = token.claims(given);
  if (!claims) return askForToken("This is not a token: it cannot be read.");
  if (claims.expiresAt <= Date.now()) return askForToken(expiredText());
  openGallery(claims);
}

function openGallery(claims) {
  if (gallery && owner !== ownerOf(claims)) {
    gallery.stop(); // or the browser would ask whether to leave, and the old page could go on with the new token
    return location.reload(); // someone else's photos must not stay on the screen
  }
  owner = ownerOf(claims);
  element("access").hidden = true;
  element("gallery").hidden = false;
  element("leave").hidden = false;
  element("skip").hidden = false;
  element("owner").hidden = false;
  element("user").textContent = claims.user;
  element("tenant").textContent = ` · ${claims.tenant}`;
  if (gallery) gallery.resume();
  else gallery = new Gallery({ token: token.current, scopes: claims.scopes, onUnauthorized });
}

/** Show the panel that asks for a token, and `why` the last one was not accepted. */
function askForToken(why) {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  element("gallery").hidden = true;
  element("leave").hidden = true;
  element("skip").hidden = true;
  element("owner").hidden = true;
  element("access").hidden = false;
  element("access-why").textContent = why;
  element("access-token").value = "";
  element("access-token").focus();
}

function onUnauthorized(problem) {
  token.forget();
  askForToken(problem.code === "token_expired" ? expiredText() : `Shoebox refused this token: ${problem.message}`);
}

const expiredText = () => "Your token has expired. Nothing is lost; with a new one you can go on.";
const ownerOf = ({ tenant, user }) => `${tenant}/${user}`;
const nameOf = ({ tenant, user }) => `${user} · ${tenant}`;

element("access-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token.keep(token.readPasted(element("access-token").value));
  start();
});
element("leave").addEventListener("click", () => {
  token.forget();
  askForToken("");
});
window.addEventListener("hashchange", async () => (await takeTokenFromLink()) && start());

await takeTokenFromLink();
start();

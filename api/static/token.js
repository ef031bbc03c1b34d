// The token: it comes in the address's fragment, which no server sees, lives in this tab's sessionStorage, and
// leaves only in the Authorization header.

const KEY = "shoebox-token";
let held = null;

/** Take a token out of the address bar; null if there is none. The bar is clean afterwards. */
export function takeFromAddress() {
  const token = tokenIn(location.hash);
  if (token !== null) history.replaceState(history.state, "", location.pathname + location.search);
  return token;
}

/** The token within `text`: the text itself, or what follows `#token=` in a link. */
export function readPasted(text) {
  const hash = text.indexOf("#");
  return (hash < 0 ? text : (tokenIn(text.slice(hash)) ?? "")).replace(/^Bearer\s+/i, "").replace(/\s/g, "");
}

export function keep(token) {
  held = token;
  try {
    sessionStorage.setItem(KEY, token);
  } catch {
    // Storage may be switched off; then the token lives as long as the page.
  }
}

/** The token of this tab, or null. */
export function current() {
  try {
    held ??= sessionStorage.getItem(KEY);
  } catch {
    // As above.
  }
  return held || null;
}

export function forget() {
  keep("");
}

/** What a token claims: `{tenant, user, scopes, expiresAt}` (ms), or null if it is no JWT. Trust nothing of it. */
export function claims(token) {
  try {
    const bytes = Uint8Array.from(atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
    const { iss, sub, exp, scope } = JSON.parse(new TextDecoder().decode(bytes));
    return { tenant: String(iss), user: String(sub), scopes: String(scope ?? "").split(" "), expiresAt: Number(exp) * 1000 };
  } catch {
    return null;
  }
}

function tokenIn(hash) {
  return new URLSearchParams(hash.replace(/^#/, "")).get("token");
}

// What is shown, as the part of the address behind #: a link shows the same again.

const VIEW = ["search", ...Object.keys(FACETS), "group", "sort", "order", "finding"];
const NOTHING_CHOSEN = Object.fromEntries(VIEW.map((name) => [name, ""]));

/** Return the view that an address names; null for one that names none, such as #accounts. */
function viewOf(hash) {
  if (!hash.includes("=")) return null;
  const said = new URLSearchParams(hash.slice(1));
  return Object.fromEntries(VIEW.map((name) => [name, said.get(name) ?? ""]));
}

function addressOf(view) {
  const said = new URLSearchParams();
  for (const name of VIEW) if (view[name]) said.set(name, view[name]);
  return said.size ? `#${said}` : "#findings";
}

/** Put the view into the address, and leave no trace in the history: it is no step of its own. */
function keepInAddress(view) {
  const address = addressOf(view);
  if (address === location.hash || (address === "#findings" && !location.hash.includes("="))) return;
  try {
    history.replaceState(null, "", address);
  } catch {
    // Some browsers allow only so many in half a minute; the next change has all of it.
  }
}

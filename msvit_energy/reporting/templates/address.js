"use strict";
// What is shown, in the fragment of the page's address: a view can be linked, and reloading or going back keeps it.
// Only what differs from the page as it opens is written.

const SORTED_AS = { column: "order", descending: false };

/** The view as the fragment of an address. */
function addressOf({ profile, against: other, protocol, technology, prices, sort, search, rival }) {
  const { start, profiles } = content;
  const found = new URLSearchParams();
  const put = (key, value, usual) => {
    if (value !== usual) found.set(key, String(value));
  };
  put("profile", profile.label, profiles[0].label);
  put("against", other?.label, undefined);
  put("protocol", protocol, start.protocol);
  put("technology", technology.name, start.technology);
  put("e_mac", prices.mac, technology.e_mac);
  put("e_ac", prices.ac, technology.e_ac);
  put("sort", sort.column, SORTED_AS.column);
  if (found.has("sort") || sort.descending) found.set("order", sort.descending ? "descending" : "ascending");
  put("search", search, "");
  put("break-even", rival, false);
  return String(found) && `#${found}`;
}

function go(how) {
  history[how](null, "", addressOf(state) || location.pathname + location.search);
}

let typing = 0;

/** Write the view into the address: a new step of the history, or where someone is `typing`, the same one, a moment
 * later. */
function writeAddress(isTyping = false) {
  clearTimeout(typing);
  if (isTyping) {
    typing = setTimeout(() => go("replaceState"), 200);
  } else if (addressOf(state) !== location.hash) {
    go("pushState");
  }
}

/** Show what the address asks for; what it asks for in vain is said. */
function readAddress() {
  const isView = location.hash.includes("=");
  if (state.profile && location.hash && !isView) return; // a place in the page
  const wanted = new URLSearchParams(isView ? location.hash.slice(1) : "");
  const unknown = [];
  const choose = (key, among, usual) => {
    const value = wanted.get(key);
    const found = among.find(({ name, label, key: column }) => (name ?? label ?? column) === value);
    if (value !== null && !found) unknown.push(`${key} ${value}`);
    return found ?? usual;
  };
  const { start, profiles, protocols, technologies } = content;
  const named = (all, wantedName) => all.find(({ name }) => name === wantedName);
  state.profile = choose("profile", profiles, profiles[0]);
  state.against = choose("against", profiles, null);
  state.protocol = choose("protocol", protocols, named(protocols, start.protocol)).name;
  state.technology = choose("technology", technologies, named(technologies, start.technology));
  const columns = [...COLUMNS, BREAK_EVEN].map(({ key }) => ({ key }));
  const { key: column } = choose("sort", columns, { key: SORTED_AS.column });
  state.sort = { column, descending: wanted.get("order") === "descending" };
  state.search = wanted.get("search")?.trim() ?? "";
  state.rival = wanted.has("break-even");
  fillControls({ mac: wanted.get("e_mac"), ac: wanted.get("e_ac") });
  const said = unknown.length ? `The address asks for what is not here: ${unknown.join(", ")}.` : "";
  byId("message").textContent = [byId("message").textContent, said].filter(Boolean).join(" ");
}

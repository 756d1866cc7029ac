"use strict";
// The page: what is shown, and what happens when something is chosen.

const content = JSON.parse(document.getElementById("content").textContent);
const state = {
  profile: null,
  against: null, // the profile whose firing rates are subtracted, null for the first other one
  protocol: null, // its name
  technology: null,
  prices: null, // the last valid ones, {mac, ac, memory}
  sort: SORTED_AS,
  search: "",
  rival: false,
  priced: null,
  unit: null, // in which energies of the profile are shown
};

// ---- what can be chosen -------------------------------------------------------------------------------------------

function chooseProfile(profile, keepFocus = false) {
  state.profile = profile;
  byId("profile").value = String(content.profiles.indexOf(profile));
  fillProtocols(`for ${profile.label}`);
  show();
  showRates();
  if (keepFocus) byId("profiles").tBodies[0].rows[content.profiles.indexOf(profile)].querySelector("button").focus();
  writeAddress();
}

function chooseProtocol(name) {
  state.protocol = name;
  byId("protocol").value = name;
  byId("message").textContent = "";
  show();
  writeAddress();
}

/** The protocols of the profile shown; one that it cannot be priced by stays visible, with the reason. */
function fillProtocols(where) {
  const reason = (name) => whyNot(state.profile, name, state.prices.memory);
  const wanted = state.protocol;
  if (reason(wanted)) {
    const names = [content.start.protocol, ...content.protocols.map(({ name }) => name)];
    state.protocol = names.find((name) => !reason(name));
  }
  byId("message").textContent =
    wanted === state.protocol ? "" : `${wanted} is not available ${where}; ${state.protocol} is shown.`;
  byId("protocol").replaceChildren(
    ...content.protocols.map(({ name }) => {
      const why = reason(name);
      return make(
        "option",
        { value: name, disabled: Boolean(why), title: why ?? null },
        why ? `${name} (not available)` : name,
      );
    }),
  );
  byId("protocol").value = state.protocol;
}

function fillTechnologies() {
  const custom = make("option", { value: "", hidden: true }, "own prices");
  const options = content.technologies.map(({ name, source }, i) =>
    make("option", { value: String(i), title: source }, name),
  );
  byId("technology").replaceChildren(...options, custom);
}

function chooseTechnology(index) {
  state.technology = content.technologies[index];
  const { e_mac: mac, e_ac: ac } = state.technology;
  byId("e-mac").value = String(mac);
  byId("e-ac").value = String(ac);
  readPrices();
}

/** Take the prices as typed, and those of memory of the technology last chosen. What is no price leaves the numbers as
 * they are, greyed out, and says so. */
function readPrices() {
  const fields = [byId("e-mac"), byId("e-ac")];
  const read = fields.map((field) => readPrice(field.value));
  const wrong = read.find(({ why }) => why);
  fields.forEach((field, i) => field.setAttribute("aria-invalid", String(Boolean(read[i].why))));
  byId("price-error").textContent = wrong?.why ?? "";
  document.documentElement.classList.toggle("stale", Boolean(wrong));
  byId("result").setAttribute("aria-disabled", String(Boolean(wrong)));
  if (wrong) return false;
  const [mac, ac] = read.map(({ price }) => price);
  state.prices = { mac, ac, memory: state.technology.memory };
  const ordered = [state.technology, ...content.technologies];
  const same = content.technologies.indexOf(ordered.find((each) => each.e_mac === mac && each.e_ac === ac));
  if (same >= 0) state.prices.memory = (state.technology = content.technologies[same]).memory;
  byId("technology").value = same < 0 ? "" : String(same);
  return true;
}

/** Set every control to what the address asks for, and show it; prices as they would be typed, null for those of the
 * technology. */
function fillControls({ mac, ac }) {
  byId("search").value = state.search;
  chooseTechnology(content.technologies.indexOf(state.technology));
  if (mac !== null) byId("e-mac").value = mac;
  if (ac !== null) byId("e-ac").value = ac;
  readPrices();
  byId("profile").value = String(content.profiles.indexOf(state.profile));
  fillProtocols(`for ${state.profile.label}`);
  show();
  showRates();
}

function show() {
  state.priced = priced(state.profile, state.protocol, state.prices);
  state.unit = energyUnit([state.priced.energy]);
  showTotals();
  showProtocol();
  showProtocols();
  showStages();
  showLayerCosts();
  showLayers(state);
  showComparison();
}

/** Draw the charts again: another width, or other colours. */
function redraw() {
  showStages();
  showLayerCosts();
  showRates();
  showComparison();
}

// ---- what happens -------------------------------------------------------------------------------------------------

function listen() {
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("profile").addEventListener("change", ({ target }) => chooseProfile(content.profiles[Number(target.value)]));
  byId("protocol").addEventListener("change", ({ target }) => chooseProtocol(target.value));
  byId("technology").addEventListener("change", ({ target }) => {
    chooseTechnology(Number(target.value));
    fillProtocols(`at the prices of ${state.technology.name}`);
    show();
    writeAddress();
  });
  for (const id of ["e-mac", "e-ac"]) {
    byId(id).addEventListener("input", () => {
      if (!readPrices()) return;
      fillProtocols(`at the prices of ${state.technology.name}`);
      show();
      writeAddress(true);
    });
  }
  byId("search").addEventListener("input", ({ target }) => {
    state.search = target.value.trim();
    showLayers(state);
    writeAddress(true);
  });
  byId("rival").addEventListener("change", ({ target }) => {
    chooseRival(state, target.checked);
    if (!state.rival && state.sort.column === BREAK_EVEN.key) state.sort = SORTED_AS;
    showLayers(state);
    writeAddress();
  });
  byId("against")?.addEventListener("change", ({ target }) => {
    state.against = content.profiles[Number(target.value)];
    showDifference();
    writeAddress();
  });
  byId("save").addEventListener("click", () => save(state));
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault(); // the address holds the view
    byId("totals").focus();
  });
  window.addEventListener("popstate", readAddress);
  let waiting = 0;
  window.addEventListener("resize", () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(redraw);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  PHONE.addEventListener("change", show);
  window.addEventListener("beforeprint", () => paper(true));
  window.addEventListener("afterprint", () => paper(false));
}

/** Say above every table that is wider than its place that it is, and fade the side where more of it is. */
function hintAtMore() {
  for (const region of document.querySelectorAll(".scroll")) {
    const hint = make("p", { class: "hint", hidden: true }, "More columns to the right: scroll the table sideways.");
    region.before(hint);
    const look = () => {
      hint.hidden = region.scrollWidth <= region.clientWidth + 1;
      region.classList.toggle("more", region.scrollLeft + region.clientWidth < region.scrollWidth - 1);
    };
    region.addEventListener("scroll", look, { passive: true });
    const observer = new ResizeObserver(look);
    observer.observe(region);
    observer.observe(region.querySelector("table"));
  }
}

/** Paper is white and as wide as it is, whatever the screen is, and nobody can open what is closed. */
function paper(printing) {
  document.documentElement.classList.toggle("paper", printing);
  for (const origin of document.querySelectorAll(".origin")) {
    if (printing && !origin.open) origin.dataset.closed = "";
    origin.open = printing || !("closed" in origin.dataset);
    if (!printing) delete origin.dataset.closed;
  }
  showLayers(state);
  redraw();
}

fillTechnologies();
byId("profile").replaceChildren(
  ...content.profiles.map(({ label: text }, i) => make("option", { value: String(i) }, text)),
);
listen();
hintAtMore();
readAddress();

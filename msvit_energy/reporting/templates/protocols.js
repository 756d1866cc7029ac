"use strict";
// What the protocol shown counts, and all protocols side by side on the profile shown.

function showProtocol() {
  const { source, answers } = content.protocols.find(({ name }) => name === state.protocol);
  byId("protocol-summary").textContent = `What ${state.protocol} counts`;
  const all = Object.entries({ Source: source, ...answers });
  byId("answers").replaceChildren(...all.flatMap(([name, text]) => [make("dt", {}, name), make("dd", {}, text)]));
}

/** Every protocol on the profile shown, from the least energy to the most; those without one last, with the reason. */
function everyProtocol() {
  const { profile, prices } = state;
  const all = content.protocols.map(({ name }) => {
    const why = whyNot(profile, name, prices.memory);
    return { name, why, total: why ? null : priced(profile, name, prices) };
  });
  return [
    ...all.filter(({ why }) => !why).sort((a, b) => a.total.energy - b.total.energy),
    ...all.filter(({ why }) => why),
  ];
}

function showProtocols() {
  const all = everyProtocol();
  const energies = all.filter(({ total }) => total).map(({ total }) => total.energy);
  const scale = { unit: energyUnit(energies), place: logarithmic(energies.filter((energy) => energy > 0)) };
  const table = byId("protocol-table");
  const columns = [`Energy, ${scale.unit.name}`, "Interval", "ACs", "MACs", "Relative"];
  table.tHead.replaceChildren(header(["Protocol", ...columns, "Energy, on a logarithmic scale"]));
  table.tBodies[0].replaceChildren(...all.map((each) => protocolRow(each, scale)));
}

function protocolRow({ name, why, total }, { unit, place }) {
  const chosen = name === state.protocol;
  const choose = make("button", { type: "button", "aria-pressed": String(chosen), disabled: Boolean(why) }, name);
  choose.addEventListener("click", () => {
    chooseProtocol(name);
    byId("protocol-table").querySelector("button[aria-pressed=true]").focus();
  });
  const cells = total
    ? [
        numberCell(general(inUnit(total.energy, unit)), `${total.energy / PJ_PER_MJ} mJ`),
        numberCell(margin(total.relative), total.relative),
        measure(total.accumulates || null, count),
        measure(total.multiplies || null, count),
        state.priced.energy ? measure(total.energy / state.priced.energy, ratio) : numberCell("–"),
        dotCell(place(total.energy)),
      ]
    : [make("td", { colspan: 6, class: "why" }, `not available: ${why}`)];
  return make("tr", { class: chosen ? "chosen" : null }, make("th", { scope: "row" }, choose), ...cells);
}

/** Where an energy is between the least and the greatest of some, 0 to 1 on a logarithmic scale; null for 0. */
function logarithmic(energies) {
  const [low, high] = [Math.min(...energies), Math.max(...energies)];
  return (energy) => (energy > 0 ? (high > low ? Math.log(energy / low) / Math.log(high / low) : 0.5) : null);
}

/** A dot for a number that stands in the row already. */
function dotCell(place) {
  const dot = make("div", { class: "dot", hidden: place === null });
  dot.style.left = `${100 * place}%`;
  return make("td", { class: "dots", "aria-hidden": "true" }, make("div", { class: "track" }, dot));
}

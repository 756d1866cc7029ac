"use strict";
// Prices a profile as the command line does, writes numbers as its tables do, and CSV. No document in here.

const PJ_PER_MJ = 1e9;
const UNITS = [
  { name: "mJ", perMj: 1 },
  { name: "µJ", perMj: 1e3 },
  { name: "nJ", perMj: 1e6 },
];

/** The largest unit of which the largest of some energies in pJ is at least a tenth; mJ where all are 0 or unknown. */
function energyUnit(energies) {
  const largest = Math.max(0, ...energies.map((energy) => Math.abs(energy ?? 0))) / PJ_PER_MJ || 1;
  return UNITS.find(({ perMj }) => largest * perMj >= 0.1) ?? UNITS.at(-1);
}

/** An energy in pJ as a number of that unit. */
function inUnit(energy, unit) {
  return (energy / PJ_PER_MJ) * unit.perMj;
}

/** An energy in pJ with its unit, to five significant digits. */
function energyText(energy, unit = energyUnit([energy])) {
  return `${general(inUnit(energy, unit))} ${unit.name}`;
}

/** Both ends of an interval; what is no less than 0 has no end below 0. */
function ends(energy, half) {
  const low = energy - half;
  return [energy >= 0 ? Math.max(low, 0) : low, energy + half];
}

/** Why a profile cannot be priced by a choice of protocol at these prices of memory; null where it can be. */
function whyNot(profile, choice, memory) {
  return profile.unavailable[choice] ?? profile.choices[choice].by_memory?.[memory]?.why ?? null;
}

/** Energy of every row and of their sum, in pJ per image, by a choice of protocol at prices {mac, ac} in pJ, and of
 * memory by name. */
function priced(profile, choice, prices) {
  const stored = profile.choices[choice];
  const counts = { ...stored, ...stored.by_memory?.[prices.memory] };
  const column = (key) => profile.columns[counts[key]];
  const [macs, acs, other] = ["macs", "acs", "other"].map(column);
  const [counted, variances] = ["counted", "variances"].map(column);
  const rows = column("rows").map((place, i) => ({
    ...profile.entries[place],
    order: i + 1,
    counted: counted[i],
    multiplies: macs[i],
    accumulates: acs[i],
    other: other[i],
    energy: macs[i] * prices.mac + acs[i] * prices.ac + other[i],
    half: halfWidth(variances[i], counts.t, prices),
  }));
  const total = summed(rows, "energy");
  for (const row of rows) {
    row.share = row.counted ? (total ? row.energy / total : 0) : null;
    row.relative = row.half !== null && row.energy ? row.half / row.energy : null;
  }
  const half = halfWidth(counts.variance, counts.t, prices);
  return {
    rows,
    energy: total,
    half,
    relative: half !== null && total ? half / total : null,
    multiplies: summed(rows, "multiplies"),
    accumulates: summed(rows, "accumulates"),
    t: counts.t,
  };
}

/** Half of the 95 % interval of an energy whose variance is a quadratic form in the prices; null where unknown. */
function halfWidth(form, t, { mac, ac }) {
  if (form === null || t === null) return null;
  const [macMac, acAc, one, macAc, justMac, justAc] = form;
  const variance = macMac * mac * mac + acAc * ac * ac + one + macAc * mac * ac + justMac * mac + justAc * ac;
  return t * Math.sqrt(Math.max(variance, 0)); // below 0 by rounding only
}

/** Sum of a column, in order. */
function summed(rows, key) {
  return rows.reduce((sum, row) => sum + row[key], 0);
}

const EMPTY = { accumulates: 0, multiplies: 0, other: 0, energy: 0, counted: false };

/** Energy of each stage in pJ, in order, by the kind of operation. */
function byStage(rows, prices) {
  const stages = new Map();
  for (const row of rows) {
    const sum = stages.get(row.stage) ?? { ...EMPTY, stage: row.stage };
    sum.counted ||= row.counted;
    sum.accumulates += row.accumulates * prices.ac;
    sum.multiplies += row.multiplies * prices.mac;
    sum.other += row.other;
    sum.energy += row.energy;
    stages.set(row.stage, sum);
  }
  return [...stages.values()];
}

/** The total if every counted operator among some cost E_MAC x its dense MACs, in pJ. */
function asMultiplies(rows, among, prices) {
  return rows.reduce((sum, row) => sum + (row.counted && among(row) ? prices.mac * row.dense : row.energy), 0);
}

/** The total if every counted operator among some cost E_AC x its rate of that name x its dense MACs, in pJ. */
function asAccumulates(rows, among, rate, prices) {
  const energy = (row) => (row.counted && among(row) ? prices.ac * (row[rate] ?? 1) * row.dense : row.energy);
  return rows.reduce((sum, row) => sum + energy(row), 0);
}

function integerDriven(row) {
  return row.kind === "integer" && row.dense !== null;
}

/** `digits` significant digits without trailing zeros, as Python's format "g". */
function general(number, digits = 5) {
  if (!number) return "0";
  const [mantissa, power] = number.toExponential(digits - 1).split("e");
  const exponent = Number(power);
  if (exponent < -4 || exponent >= digits) {
    return `${trimmed(mantissa)}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }
  return trimmed(number.toFixed(digits - 1 - exponent));
}

function trimmed(decimal) {
  return decimal.includes(".") ? decimal.replace(/\.?0+$/, "") : decimal;
}

/** An operation count to three digits with a unit: 640, 20.7 k, 2.65 M, 1.05 G. */
function count(number) {
  for (const [size, unit] of [
    [1e9, " G"],
    [1e6, " M"],
    [1e3, " k"],
  ]) {
    if (Math.round((number / size) * 1e3) >= 1e3) {
      return (number / size).toFixed(2 - Math.min(2, Math.trunc(Math.log10(number / size)))) + unit;
    }
  }
  return number.toFixed(0);
}

function percent(share, digits = 1) {
  return `${(share * 100).toFixed(digits)}%`;
}

/** How many times as much: three decimals, or two digits where there would be fewer. */
function ratio(times) {
  return times < 0.1 ? general(times, 2) : times.toFixed(3);
}

/** Digits after the point that show four significant ones of the largest number of a column. */
function digitsOf(largest) {
  return largest > 0 ? Math.max(0, 3 - Math.floor(Math.log10(largest))) : 0;
}

/** A number to so many digits after the point; 0 only if it is. */
function fixed(number, digits) {
  const text = number.toFixed(Math.min(digits, 100));
  if (!number || Number(text)) return number ? text : "0";
  return `<${(10 ** -digits).toFixed(digits)}`;
}

/** A difference with its sign; 0 only if it is. */
function signed(number, digits) {
  return number ? `${number < 0 ? "\u2212" : "+"}${Math.abs(number).toFixed(digits)}` : "0";
}

/** A price as typed, with a decimal point or comma, as {price, why}: a number, 0 or more, or null and why not. */
function readPrice(text) {
  const typed = text.trim();
  const parted = /^[1-9]\d{0,2}(,\d{3})+$/.test(typed);
  if (parted) return { price: null, why: `${typed} can be read in two ways: write no comma.` };
  const price = /^\+?(\d+[.,]?\d*|[.,]\d+)(e[+-]?\d+)?$/i.test(typed) ? Number(typed.replace(",", ".")) : NaN;
  return Number.isFinite(price) ? { price, why: "" } : { price: null, why: "A price is a number in pJ, 0 or more." };
}

/** CSV (RFC 4180) of rows of cells: numbers in full precision, null empty, and no text that a spreadsheet computes. */
function csv(rows) {
  return rows.map((cells) => cells.map(csvCell).join(",") + "\r\n").join("");
}

function csvCell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const text = String(value);
  const harmless = /^\s*[=+\-@]/.test(text) && !isNumber(text) ? `'${text}` : text;
  return /[",\r\n]|^\s|\s$/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

function isNumber(text) {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text);
}

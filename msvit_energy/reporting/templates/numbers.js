"use strict";
// Prices a profile as the command line does, writes numbers as its tables do, and CSV. No document in here.

const PJ_PER_MJ = 1e9;

/** Why a profile cannot be priced by a choice of protocol at these prices of memory; null where it can be. */
function whyNot(profile, choice, memory) {
  return profile.unavailable[choice] ?? profile.choices[choice].by_memory?.[memory]?.why ?? null;
}

/** Energy of every row and of their sum, in pJ per image, by a choice of protocol at prices {mac, ac} in pJ, and of
 * memory by name. */
function priced(profile, choice, prices) {
  const stored = profile.choices[choice];
  const counts = { ...stored, ...stored.by_memory?.[prices.memory] };
  const rows = counts.rows.map((place, i) => ({
    ...profile.entries[place],
    order: i + 1,
    counted: counts.counted[i],
    multiplies: counts.macs[i],
    accumulates: counts.acs[i],
    other: counts.other[i],
    energy: counts.macs[i] * prices.mac + counts.acs[i] * prices.ac + counts.other[i],
    half: halfWidth(counts.variances[i], counts.t, prices),
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

/** The largest of numbers from 0 on, however many there are: a call takes only so many arguments. */
function highest(numbers) {
  return numbers.reduce((largest, number) => Math.max(largest, number), 0);
}

/** Sum of a column, in order. */
function summed(rows, key) {
  return rows.reduce((sum, row) => sum + row[key], 0);
}

const EMPTY = { accumulates: 0, multiplies: 0, other: 0, energy: 0, counted: false };

/** Energy of each stage in mJ, in order, by the kind of operation. */
function byStage(rows, prices) {
  const stages = new Map();
  for (const row of rows) {
    const sum = stages.get(row.stage) ?? { ...EMPTY, stage: row.stage };
    sum.counted ||= row.counted;
    sum.accumulates += (row.accumulates * prices.ac) / PJ_PER_MJ;
    sum.multiplies += (row.multiplies * prices.mac) / PJ_PER_MJ;
    sum.other += row.other / PJ_PER_MJ;
    sum.energy += row.energy / PJ_PER_MJ;
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

/** Decimals at which energies in mJ stand below each other: six, more where even the largest would lose digits. */
function decimals(energies) {
  const largest = highest(energies);
  return largest > 0 ? Math.min(15, Math.max(6, 2 - Math.floor(Math.log10(largest)))) : 6;
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

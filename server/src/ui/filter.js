// Filters as values: conditions, their JSON as the API takes it, and their words.

/** How a condition counts: the groups of the API's filter. */
export const GROUPS = {
  must: { name: "must hold", short: "" },
  should: { name: "one of these must hold", short: "or " },
  must_not: { name: "must not hold", short: "not " },
};

/** What a condition asks of the value under its key. */
export const KINDS = {
  match: { name: "is" },
  any: { name: "is one of" },
  range: { name: "is in the range" },
  exists: { name: "is present" },
};

/** Bounds of a range, as the API names them. */
export const BOUNDS = { gte: "≥", gt: ">", lte: "≤", lt: "<" };

/** The API's filter, or null where there is no condition. A condition is {group, key, kind, value}. */
export function toJson(conditions) {
  const filter = {};
  for (const { group, key, kind, value } of conditions) (filter[group] ??= []).push({ key, [kind]: value });
  return conditions.length > 0 ? filter : null;
}

/** A condition as a short sentence without its end. */
export function words({ group, key, kind, value }) {
  return `${GROUPS[group].short}${key} ${predicate(kind, value)}`;
}

function predicate(kind, value) {
  switch (kind) {
    case "match": return `is ${quoted(value)}`;
    case "any": return `is ${value.map(quoted).join(" or ")}`;
    case "range": return Object.entries(value).map(([bound, number]) => `${BOUNDS[bound]} ${number}`).join(" and ");
    default: return "is present";
  }
}

/** A text that reads as a number is told from the number. */
function quoted(value) {
  const misleading = typeof value === "string" && (value.trim() === "" || Number.isFinite(Number(value)) || value === "true" || value === "false");
  return misleading ? `"${value}"` : String(value);
}

/** Whether two conditions ask the same. */
export const isSame = (a, b) => JSON.stringify([a.group, a.key, a.kind, a.value]) === JSON.stringify([b.group, b.key, b.kind, b.value]);

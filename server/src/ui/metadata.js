// Metadata of items: which keys and values have been seen, and how text that a person writes becomes a value.

const seen = new Map(); // key to (written value to value)
const MOST_VALUES = 500; // kept for each key

/** Remembers the keys and values of an item, to propose them in forms. */
export function remember(metadata = {}) {
  for (const [key, value] of Object.entries(metadata)) {
    if (!seen.has(key)) seen.set(key, new Map());
    const values = seen.get(key);
    for (const single of [value].flat()) if (values.size < MOST_VALUES) values.set(written(single), single);
  }
}

/** All keys seen so far, by name. */
export const seenKeys = () => [...seen.keys()].sort();

/** The values seen under a key, as written. */
export const seenValues = (key) => [...(seen.get(key)?.keys() ?? [])].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));

/** A value as people read it. */
export const written = (value) => (Array.isArray(value) ? value.join(", ") : String(value));

/**
 * The value that a text stands for: one that was seen under this key, else a number or a boolean if it reads as one, else
 * the text. In quotation marks it is always a text.
 */
export function valueOf(key, text) {
  const trimmed = text.trim();
  const quoted = /^"(.*)"$/.exec(trimmed);
  if (quoted) return quoted[1];
  const known = seen.get(key);
  if (known?.has(trimmed)) return known.get(trimmed);
  const textsOnly = known?.size > 0 && [...known.values()].every((value) => typeof value === "string");
  if (textsOnly) return trimmed;
  if (trimmed === "true" || trimmed === "false") return trimmed === "true";
  return trimmed !== "" && Number.isFinite(Number(trimmed)) ? Number(trimmed) : trimmed;
}

// Small builders for the page. Text always goes in as text nodes: data from the server or from a file name can
// never become markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes and children; a string child becomes a text node, null and false are left out. */
export function element(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** The same for SVG. */
export function drawing(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) node.style.setProperty(name, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** The element with this id, which the page is known to have. */
export const byId = (id) => document.getElementById(id);

/** A whole number with thousands separators. */
export const count = (value) => Number(value).toLocaleString("en");

/** A number with exactly this many decimals, or a dash when there is none. */
export const decimal = (value, digits = 1) => (Number.isFinite(value) ? value.toFixed(digits) : "–");

/** The server's messages begin in lower case and have no full stop; on the page they are sentences. */
export const sentence = (text) => (text ? `${text[0].toUpperCase()}${text.slice(1)}.` : "");

/** A duration in words a person would use. */
export function duration(seconds) {
  if (seconds < 1) return `${decimal(seconds * 1000, seconds < 0.01 ? 1 : 0)} ms`;
  if (seconds < 90) return `${decimal(seconds, seconds < 10 ? 1 : 0)} s`;
  return `${Math.round(seconds / 60)} min`;
}

/** How long ago a time stamp was, in words. */
export function ago(time, now = Date.now()) {
  const seconds = Math.max(0, (now - Date.parse(time)) / 1000);
  if (seconds < 10) return "just now";
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  return `${Math.round(seconds / 3600)} h ago`;
}

/** A number of bytes in a unit that people read. */
export function bytes(number) {
  const units = ["bytes", "KiB", "MiB", "GiB"];
  const step = number > 0 ? Math.min(units.length - 1, Math.floor(Math.log2(number) / 10)) : 0;
  return `${decimal(number / 1024 ** step, step === 0 ? 0 : 1)} ${units[step]}`;
}

/** A time stamp in the reader's own time zone. */
export const time = (stamp) => new Date(stamp).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });

/** A small line of values over time; the newest is marked by a dot. */
export function sparkline(values, { low = 0, high = 100, width = 96, height = 24, title }) {
  const usable = values.filter(Number.isFinite);
  if (usable.length < 2) return null;
  const x = (index) => 2 + (index * (width - 4)) / (usable.length - 1);
  const y = (value) => height - 2 - ((Math.min(high, Math.max(low, value)) - low) / (high - low)) * (height - 4);
  const points = usable.map((value, index) => `${x(index).toFixed(1)},${y(value).toFixed(1)}`);
  return drawing("svg", { class: "sparkline", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title },
    drawing("polyline", { points: points.join(" ") }),
    drawing("circle", { cx: x(usable.length - 1), cy: y(usable.at(-1)), r: 2 }));
}

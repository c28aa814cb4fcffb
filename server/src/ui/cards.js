// An item as a card: its picture, what is known of it, and what can be done with it.

import { element, decimal } from "./elements.js";
import { openDetails } from "./details.js";
import { remember, written } from "./metadata.js";
import { itemPicture } from "./pictures.js";
import { open } from "./pages.js";

const UNRELATED = Math.SQRT2; // the usual distance of two pictures that have nothing in common
const EAGER = 12; // pictures that are loaded before they are scrolled to
const SHOWN = 3; // metadata on a card; the rest is in the details

/** A list entry for an item; a hit has a distance. `extra` goes into its corner. */
export function card(item, position, extra = null) {
  remember(item.metadata);
  const { label = "no label", ...others } = item.metadata ?? {};
  const name = written(label);
  return element("li", { class: "card", "data-id": item.id },
    element("button", { class: "card-main", type: "button", title: "More like this", "aria-label": description(item, name), onclick: () => open("search", { like: item.id }) },
      element("span", { class: "card-picture" }, itemPicture(item.id, 320, { loading: position < EAGER ? "eager" : "lazy" })),
      element("span", { class: "card-label" }, name),
      element("span", { class: "card-id" }, item.id),
      facts(others),
      Number.isFinite(item.distance) && closeness(item.distance)),
    element("button", { class: "card-details", type: "button", "aria-label": `Details of ${item.id}`, title: "Details", onclick: () => openDetails(item.id) }, "⋯"),
    extra);
}

function description({ id, distance, score }, name) {
  const near = Number.isFinite(distance) ? `, distance ${decimal(distance, 3)}, similarity ${decimal(score, 2)}` : "";
  return `${name}, ${id}${near}. More like this`;
}

function facts(metadata) {
  const entries = Object.entries(metadata).slice(0, SHOWN);
  if (entries.length === 0) return null;
  return element("span", { class: "card-facts" }, entries.map(([key, value]) => element("span", {}, element("i", {}, key), ` ${written(value)}`)));
}

function closeness(distance) {
  return element("span", { class: "card-distance" },
    element("span", { class: "card-closeness", "--share": Math.max(0, 1 - distance / UNRELATED) }),
    element("span", {}, decimal(distance, 3)));
}

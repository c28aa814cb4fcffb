// The filter bar: conditions as chips, and a form for the next one. Search and gallery share them.

import { byId, element } from "./elements.js";
import { BOUNDS, GROUPS, KINDS, isSame, toJson, words } from "./filter.js";
import { seenKeys, seenValues, valueOf } from "./metadata.js";
import { announce } from "./notice.js";

let conditions = [];
const listeners = [];

/** The filter of the API, or null. */
export const currentFilter = () => toJson(conditions);

/** Calls back whenever the filter has changed. */
export function onFilterChange(listener) {
  listeners.push(listener);
}

/** Adds a condition, unless it is there already. */
export function addCondition(condition) {
  if (conditions.some((other) => isSame(other, condition))) return;
  change([...conditions, condition], `Filter added: ${words(condition)}`);
}

/** Connects the bar with the page. */
export function startFilterBar() {
  byId("filter-add").addEventListener("click", () => toggleForm(byId("filter-form").hidden));
  byId("filter-form").addEventListener("submit", (event) => {
    event.preventDefault();
    submit(event.target);
  });
  byId("filter-form").addEventListener("keydown", (event) => { if (event.key === "Escape") toggleForm(false); });
  draw();
}

function change(next, told) {
  conditions = next;
  draw();
  announce(told);
  listeners.forEach((listener) => listener());
}

function remove(condition) {
  change(conditions.filter((other) => other !== condition), `Filter removed: ${words(condition)}`);
  (byId("chips").querySelector("button") ?? byId("filter-add")).focus();
}

function draw() {
  byId("chips").replaceChildren(...conditions.map((condition) => element("li", { class: "chip", "data-group": condition.group },
    element("span", {}, words(condition)),
    element("button", { class: "chip-remove", type: "button", "aria-label": `Remove the filter ${words(condition)}`, onclick: () => remove(condition) }, "×"))));
  byId("chips").hidden = conditions.length === 0;
  byId("filter-json").hidden = conditions.length === 0;
  byId("filter-code").textContent = JSON.stringify(currentFilter(), null, 2);
}

function toggleForm(open) {
  const form = byId("filter-form");
  form.hidden = !open;
  byId("filter-add").setAttribute("aria-expanded", String(open));
  if (!open) return byId("filter-add").focus();
  form.replaceChildren(...fields());
  drawValue(form);
  return form.elements.key.focus();
}

const options = (choices) => Object.entries(choices).map(([value, { name }]) => element("option", { value }, name));
const proposals = (id, values) => element("datalist", { id }, values.map((value) => element("option", { value })));

function fields() {
  return [
    element("label", { class: "field" }, "Key", element("input", { name: "key", required: true, autocomplete: "off", list: "filter-keys", placeholder: "label", oninput: (event) => proposeValues(event.target.form) })),
    proposals("filter-keys", seenKeys()),
    element("label", { class: "field" }, "Condition", element("select", { name: "kind", onchange: (event) => drawValue(event.target.form) }, options(KINDS))),
    element("div", { class: "filter-value", id: "filter-value" }),
    element("label", { class: "field" }, "Rule", element("select", { name: "group" }, options(GROUPS))),
    element("div", { class: "filter-buttons" },
      element("button", { class: "primary", type: "submit" }, "Add"),
      element("button", { class: "quiet", type: "button", onclick: () => toggleForm(false) }, "Cancel")),
  ];
}

function drawValue(form) {
  byId("filter-value").replaceChildren(...VALUE_FIELDS[form.elements.kind.value]());
  proposeValues(form);
}

const VALUE_FIELDS = {
  match: () => [
    element("label", { class: "field" }, "Value", element("input", { name: "value", required: true, autocomplete: "off", list: "filter-values" })),
    proposals("filter-values", []),
  ],
  any: () => [element("label", { class: "field" }, "Values, one a line", element("textarea", { name: "value", required: true, rows: 3 }))],
  range: () => [bound("low", "From", ["gte", "gt"]), bound("high", "To", ["lte", "lt"])],
  exists: () => [],
};

function bound(name, label, signs) {
  return element("div", { class: "field", role: "group", "aria-label": label }, label,
    element("span", { class: "bound" },
      element("select", { name: `${name}-sign`, "aria-label": `${label}, comparison` }, signs.map((sign) => element("option", { value: sign }, BOUNDS[sign]))),
      element("input", { name, type: "number", step: "any", "aria-label": `${label}, number` })));
}

function proposeValues(form) {
  const list = byId("filter-values");
  list?.replaceChildren(...seenValues(form.elements.key.value.trim()).map((value) => element("option", { value })));
}

function submit(form) {
  const { key, kind, group } = form.elements;
  const condition = { group: group.value, key: key.value.trim(), kind: kind.value, value: readValue(form) };
  if (condition.value === null) {
    form.elements.low.setCustomValidity("Give at least one end of the range.");
    form.elements.low.reportValidity();
    form.elements.low.setCustomValidity("");
    return;
  }
  toggleForm(false);
  addCondition(condition);
}

function readValue({ elements }) {
  const key = elements.key.value.trim();
  switch (elements.kind.value) {
    case "match": return valueOf(key, elements.value.value);
    case "any": return elements.value.value.split("\n").filter((line) => line.trim()).map((line) => valueOf(key, line));
    case "range": {
      const ends = ["low", "high"].filter((end) => elements[end].value !== "");
      return ends.length === 0 ? null : Object.fromEntries(ends.map((end) => [elements[`${end}-sign`].value, Number(elements[end].value)]));
    }
    default: return true;
  }
}

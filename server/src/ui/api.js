// Requests to the server: with the API key if there is one, again when it is busy, and its errors as values.

const KEY = "holdfast.api-key";
const ATTEMPTS = 6;
const LONGEST_WAIT = 30; // seconds

/** What the server answered instead of what was asked for (RFC 9457), or that it did not answer. */
export class Problem extends Error {
  constructor(status, { title, detail, code, request_id: requestId, errors } = {}, retryAfter = null) {
    super(detail ?? title ?? `the server answered ${status}`);
    this.status = status;
    this.title = title ?? (status ? `The server answered ${status}` : "No connection");
    this.code = code;
    this.requestId = requestId;
    this.fields = errors ?? [];
    this.retryAfter = retryAfter;
  }

  /** Whether the same request may succeed later. */
  get isTemporary() {
    return this.status === 429 || this.status === 503;
  }
}

let askForKey = null;
let asking = null;

/** Says how a person is asked for an API key: a function of the problem that resolves to whether there is a new one. */
export function setKeyPrompt(prompt) {
  askForKey = prompt;
}

/** The key of this tab, or an empty string. */
export function apiKey() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return ""; // storage is turned off
  }
}

/** Keeps a key until the tab is closed; an empty one is forgotten. */
export function setApiKey(key) {
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
}

/**
 * Sends a request and gives the response, which is a success.
 *
 * `json` is sent as JSON. While the server is busy, `onWait` is told the problem and the seconds until the next attempt. A
 * `quiet` request neither waits nor asks for a key.
 */
export async function send(path, { method = "GET", body, json, headers = {}, signal, onWait, quiet = false } = {}) {
  const content = json === undefined ? { body, headers } : { body: JSON.stringify(json), headers: { ...headers, "Content-Type": "application/json" } };
  for (let attempt = 1; ; attempt += 1) {
    const response = await attemptOnce(path, method, content, signal);
    if (response.ok) return response;
    const problem = await problemOf(response);
    if (quiet) throw problem;
    if (problem.status === 401 && await newKey(problem)) continue;
    if (!problem.isTemporary || attempt === ATTEMPTS) throw problem;
    const seconds = Math.min(problem.retryAfter ?? 1, LONGEST_WAIT);
    onWait?.(problem, seconds);
    await pause(seconds, signal);
  }
}

/** The same, and the JSON of the response. */
export async function sendForJson(path, options) {
  return (await send(path, options)).json();
}

/** Where the picture of an item is, with its longer side at most `size` pixels; without `size`, the stored file. */
export const pictureAddress = (id, size) => `/v1/items/${encodeURIComponent(id)}/image${size ? `?size=${size}` : ""}`;

async function attemptOnce(path, method, { body, headers }, signal) {
  const key = apiKey();
  try {
    return await fetch(path, { method, body, signal, headers: { Accept: "application/json", ...headers, ...(key && { "api-key": key }) } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { detail: "the server did not answer; is it still running?" });
  }
}

async function problemOf(response) {
  const seconds = Number.parseInt(response.headers.get("Retry-After"), 10);
  const body = await response.json().catch(() => ({}));
  return new Problem(response.status, body, Number.isFinite(seconds) ? seconds : null);
}

/** One question for all requests that were refused meanwhile. */
async function newKey(problem) {
  asking ??= askForKey?.(problem).finally(() => { asking = null; });
  return asking;
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal?.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
  });
}

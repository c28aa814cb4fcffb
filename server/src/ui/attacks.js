// What each number of the robustness panel means, in words for people who do not read attack papers.

/** By outcome name: a short title, what the attacker wants, and how the raw value reads. */
export const OUTCOMES = {
  "ES:R": { title: "Mislead", goal: "Push a picture away from its own kind. Is the first hit still of the right class?", raw: (value) => `${value.toFixed(0)} % still right` },
  "ES:D": { title: "Push away", goal: "Push a picture as far from itself as possible. How far does its fingerprint move, of at most 2?", raw: (value) => `moved ${value.toFixed(2)}` },
  "QA+": { title: "Promote", goal: "Lift an unrelated gallery item towards the top of the results.", raw: (value) => `ends at rank ${value.toFixed(0)} %` },
  "QA-": { title: "Demote", goal: "Sink an item that belongs at the top of the results.", raw: (value) => `ends at rank ${value.toFixed(0)} %` },
  "TMA": { title: "Impersonate", goal: "Make the picture look like one chosen gallery item to the net.", raw: (value) => `similarity ${value.toFixed(2)}` },
  "CA+": { title: "Sneak in", goal: "Change a gallery item so that it rises for unrelated queries.", raw: (value) => `ends at rank ${value.toFixed(0)} %` },
  "CA-": { title: "Drop out", goal: "Change a gallery item so that it sinks for its own queries.", raw: (value) => `ends at rank ${value.toFixed(0)} %` },
  "LTM": { title: "Mislead by label", goal: "Bring other classes closer than the right one.", raw: (value) => `${value.toFixed(0)} % still right` },
  "GTM": { title: "Mismatch", goal: "Approach the nearest item of another class.", raw: (value) => `${value.toFixed(0)} % still right` },
  "GTT": { title: "Push out the best", goal: "Remove the best hit from the top four.", raw: (value) => `${value.toFixed(0)} % still there` },
};

/** What the monitor is doing, as a short label. */
export const STATES = {
  warming_up: "Warming up",
  running: "Attacking now",
  idle: "Watching",
  off: "Off",
};

/** The plain names of the sanity checks, worded for the case that they fail. */
export const CHECKS = {
  pixels_moved: "an attack left every pixel as it was: its gradient may be zero",
  embedding_moved: "an attack changed pixels and the fingerprint did not move at all",
};

/** Weak, middling or strong: only colours the bar, the number is always written beside it. */
export function strength(score) {
  if (score < 25) return "weak";
  return score < 55 ? "middling" : "strong";
}

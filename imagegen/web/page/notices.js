// What a person should know: how the last run ended, what helps, what is wrong with the project.

import { make } from "./dom.js";
import { clock, plural } from "./words.js";

const REASONS = {
  complete: "All that was asked for is there.",
  errors: "Some beats could not be drawn.",
  "fail-fast": "It ended at the first beat that failed.",
  "no key": "A style has no key.",
  "keys rejected": "No key of a style is accepted.",
  "model gone": "The service does not know the model.",
  redirected: "The address answers with a redirect.",
  "keys spent": "The keys have no quota left for now.",
  "provider down": "The service was out of reach for too long.",
  time: "The time that was given is over.",
  money: "Another picture could pass the sum that was given.",
  stopped: "Stopped. Start carries on with what is left.",
  disk: "The disk is full, or refuses to be written.",
  interrupted: "Interrupted. Start carries on with what is left.",
  internal: "A fault of imagegen ended it.",
};
const FINE = new Set(["complete", "stopped"]);

// Returns the notices that there are, each as an element.
export function notices(state, trouble, actions) {
  const found = [];
  if (trouble) found.push(ofTrouble(trouble, actions));
  if (state.ended && !state.run.active) found.push(...ofEnding(state, actions));
  for (const warning of state.warnings) found.push(box("warn", [paragraph(warning)]));
  if (!found.length && !state.run.active && state.rows.length && isUndrawn(state)) {
    found.push(box("plain", [paragraph("Nothing is drawn yet. Start draws every beat in every style.")]));
  }
  return found;
}

function ofEnding({ ended, rows }, actions) {
  if (ended.type === "error") return [ofTrouble(ended, actions)];
  const failed = rows.filter((row) => [...row.cells.values()].some((c) => c.status === "error")).length;
  const words = [ended.reason ? (REASONS[ended.reason] ?? `It ended: ${ended.reason}.`) : "The last run broke off."];
  for (const message of ended.messages ?? []) words.push(message);
  if (ended.resume_after) words.push(`It can go on from ${clock(ended.resume_after)}.`);
  const buttons = [];
  if (failed) buttons.push(button(`Show ${plural(failed, "failed beat")}`, actions.showFailed));
  else if (ended.reason === "complete") buttons.push(button("Review the pictures", actions.review));
  const kind = FINE.has(ended.reason) && !failed ? "good" : "bad";
  return [box(kind, words.map(paragraph), buttons)];
}

function ofTrouble(trouble, actions) {
  const parts = [paragraph(trouble.message)];
  const faults = (trouble.faults ?? []).slice(0, 20);
  if (faults.length) {
    parts.push(make("ul", {}, ...faults.map((fault) => make("li", { textContent: faultWords(fault) }))));
  }
  if (trouble.hint) parts.push(paragraph(trouble.hint));
  return box("bad", parts, trouble.reload ? [button("Read it again", actions.reload)] : []);
}

function faultWords({ file, row, field, message, hint }) {
  const place = [file, row ? `row ${row}` : "", field ?? ""].filter(Boolean).join(", ");
  return `${place}: ${message}${hint ? `. ${hint}` : ""}`;
}

function isUndrawn(state) {
  return state.rows.every((row) => [...row.cells.values()].every((cell) => !cell.version && !cell.error));
}

function box(kind, parts, buttons = []) {
  const words = make("div", { className: "notice-words" }, ...parts);
  return make("div", { className: `notice ${kind}` }, words, ...buttons);
}

function paragraph(text) {
  return make("p", { textContent: text });
}

function button(words, act) {
  return make("button", { type: "button", textContent: words, onclick: act });
}

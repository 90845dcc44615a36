// Notices: how the last run ended, what to do next, and errors in the project.

import { make } from "./dom.js";
import { clock, plural } from "./words.js";

const REASONS = {
  interrupted: "The run was interrupted.",
  internal: "An internal error ended the run.",
};
const GOES_ON = new Set([
  "stopped",
  "interrupted",
  "time",
  "money",
  "keys spent",
  "out of credit",
  "provider down",
  "disk",
]);

// Returns the notices that there are, each as an element.
export function notices(state, trouble, actions) {
  const found = [];
  if (trouble) found.push(ofTrouble(trouble, actions));
  if (state.project?.moved && !state.run.active) found.push(ofMoved(state.project));
  if (state.project && state.ended && !state.run.active) found.push(...ofEnding(state, actions));
  if (state.choicesFault) found.push(box("warn", [paragraph(state.choicesFault)]));
  for (const warning of state.warnings) found.push(box("warn", [paragraph(warning)]));
  if (!found.length && state.project && !state.run.active && isUndrawn(state)) {
    found.push(
      box("plain", [paragraph("No images yet. Start draws every beat in every style.")]),
    );
  }
  return found;
}

// These images are wrong: nothing may say that all are done.
function ofMoved({ moved, way_out: wayOut }) {
  const count = moved.toLocaleString("en");
  const images = moved === 1 ? "1 image now belongs" : `${count} images now belong`;
  return box("warn", [
    paragraph(`Beat numbers changed: ${images} to another beat.`),
    paragraph(`${wayOut}.`),
  ]);
}

// How the last run ended, and which images exist now: it may have drawn a part, and images also
// change without a run. The text about Start is what Start does.
function ofEnding(state, actions) {
  const { ended, rows } = state;
  if (ended.type === "error") return [ofTrouble(ended, actions)];
  const { left, failed, outdated } = state.sums();
  const words = [...ofRun(ended, left), ...ofPictures(state)];
  if (!state.whyNoStart && (!ended.reason || GOES_ON.has(ended.reason)))
    words.push("Start draws the rest.");
  if (!words.length) return [];
  const beats = rows.filter((row) => [...row.cells.values()].some((c) => c.status === "error"));
  const buttons = failed
    ? [button(`Show ${plural(beats.length, "failed beat")}`, actions.showFailed)]
    : [];
  const kind = failed ? "bad" : left || outdated ? "plain" : "good";
  return [box(kind, words.map(paragraph), buttons)];
}

function ofRun(ended, left) {
  // The current counts replace those in messages.
  const counts = /^(beats in error|not sent, for the beat before them was not drawn): /;
  const words = (ended.messages ?? []).filter((one) => !counts.test(one)).map(sentence);
  const drew = ended.reason === "complete" || ended.reason === "errors";
  if (drew && ended.reason === "complete" && left)
    words.push("The last run drew everything it selected.");
  else if (!drew && !words.length)
    words.push(
      REASONS[ended.reason] ??
        `The last run ${ended.reason ? `ended: ${ended.reason}` : "was interrupted"}.`,
    );
  if (left && isToCome(ended.resume_after))
    words.push(`It can resume from ${clock(ended.resume_after)}.`);
  return words;
}

function ofPictures(state) {
  const { left, failed, outdated, sketches, total } = state.sums();
  // These images are wrong, and have their own notice.
  if (state.project.moved || !total) return [];
  const words = [];
  if (failed) words.push(`${plural(failed, "image")} could not be drawn.`);
  if (sketches) words.push(`${plural(sketches, "placeholder")} to replace.`);
  const missing = left - failed - sketches;
  if (missing > 0) {
    words.push(missing === 1 ? "1 image is missing." : `${plural(missing, "image")} are missing.`);
  }
  if (!left && !outdated) words.push("All images are done.");
  if (outdated) {
    const changed = outdated === 1 ? "1 is outdated" : `${outdated.toLocaleString("en")} are outdated`;
    words.push(
      left
        ? `Of the existing images, ${changed}.`
        : `All images are done; ${changed}, because prompts, references or settings changed.`,
      "To redraw one, press R in the review. To redraw all, type: imagegen run --outdated",
    );
  }
  return words;
}

// Whether a time is in the future; the notice is repainted when it has passed.
export function isToCome(iso) {
  return Boolean(iso) && Date.parse(iso) > Date.now();
}

function ofTrouble(trouble, actions) {
  const parts = [paragraph(trouble.message)];
  const faults = (trouble.faults ?? []).slice(0, 20);
  if (faults.length) {
    parts.push(
      make("ul", {}, ...faults.map((fault) => make("li", { textContent: faultWords(fault) }))),
    );
  }
  if (trouble.hint) parts.push(paragraph(trouble.hint));
  return box("bad trouble", parts, trouble.reload ? [button("Reload", actions.reload)] : []);
}

function sentence(words) {
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}${/[.!?]$/.test(words) ? "" : "."}`;
}

function faultWords({ file, row, line, field, message, hint }) {
  const place = [file, row ? `row ${row}` : "", line ? `line ${line}` : "", field ?? ""]
    .filter(Boolean)
    .join(", ");
  return `${place}: ${message}${hint ? `. ${hint}` : ""}`;
}

function isUndrawn(state) {
  return !state.whyNoStart && state.rows.every((row) =>
    [...row.cells.values()].every((cell) => !cell.version && !cell.error),
  );
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

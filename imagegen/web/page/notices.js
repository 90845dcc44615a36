// What a person should know: how the last run ended, what helps, what is wrong with the project.

import { make } from "./dom.js";
import { clock, plural } from "./words.js";

const REASONS = {
  complete: "All that was asked for is there.",
  errors: "Some beats could not be drawn.",
  interrupted: "The run was interrupted.",
  internal: "A fault of imagegen ended the run.",
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
  if (state.ended && !state.run.active) found.push(...ofEnding(state, actions));
  if (state.choicesFault) found.push(box("warn", [paragraph(state.choicesFault)]));
  for (const warning of state.warnings) found.push(box("warn", [paragraph(warning)]));
  if (!found.length && !state.run.active && state.rows.length && isUndrawn(state)) {
    found.push(
      box("plain", [paragraph("Nothing is drawn yet. Start draws every beat in every style.")]),
    );
  }
  return found;
}

// Such pictures are no good: nothing may say that all is there.
function ofMoved({ moved, way_out: wayOut }) {
  const pictures = moved === 1 ? "1 picture has" : `${moved.toLocaleString("en")} pictures have`;
  return box("warn", [
    paragraph(`Numbers have moved: ${pictures} the words of another beat.`),
    paragraph(`${wayOut}.`),
  ]);
}

function ofEnding(state, actions) {
  const { ended, rows, project } = state;
  if (ended.type === "error") return [ofTrouble(ended, actions)];
  const failed = rows.filter((row) =>
    [...row.cells.values()].some((c) => c.status === "error"),
  ).length;
  const words = (ended.messages ?? []).map(sentence);
  const left = state.sums().left;
  const all = ended.reason === "complete" && !failed && !left;
  if (all && project?.moved) return [];
  if (ended.reason === "complete" && !all) words.push(...ofPart(left));
  else if (!words.length)
    words.push(
      REASONS[ended.reason] ??
        `The last run ${ended.reason ? `ended: ${ended.reason}` : "broke off"}.`,
    );
  if (ended.resume_after) words.push(`It can go on from ${clock(ended.resume_after)}.`);
  if (!ended.reason || GOES_ON.has(ended.reason)) words.push("Start carries on with what is left.");
  const buttons = failed
    ? [button(`Show ${plural(failed, "failed beat")}`, actions.showFailed)]
    : [];
  const kind = failed ? "bad" : all ? "good" : "plain";
  return [box(kind, words.map(paragraph), buttons)];
}

// A run that drew a part, or one after which pictures went or beats came.
function ofPart(left) {
  const missing = left === 1 ? "1 picture is missing." : `${plural(left, "picture")} are missing.`;
  return ["The last run drew what it was asked for.", missing];
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
  return box("bad trouble", parts, trouble.reload ? [button("Read it again", actions.reload)] : []);
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
  return state.rows.every((row) =>
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

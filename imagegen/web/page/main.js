// The page: loads the board, follows events, and sends requests.

import * as api from "./api.js";
import { Bars } from "./bars.js";
import { byId, setHidden, setText } from "./dom.js";
import { Filters } from "./filters.js";
import { Grid } from "./grid.js";
import { isToCome, notices } from "./notices.js";
import { Review } from "./review.js";
import { State } from "./state.js";
import { follow } from "./stream.js";
import { money, plural } from "./words.js";

const TICK = 1000;
const FRESH = 5000; // milliseconds for which a loaded board counts as current
const SPOKEN = 15000; // milliseconds between two announcements of progress
const BUSY = "A run is active: stop it, or try again when it has ended.";

const CAN_HOVER = matchMedia("(hover: hover)");
const state = new State(paint);
const bars = new Bars(byId("bars"), byId("now"), byId("left"));
const grid = new Grid(byId("grid"), byId("none"), { open, redraw });
const filters = new Filters(byId("filters"), byId("tally"), () => state.touch("filter"));
const review = new Review(state, {
  changed,
  redraw,
  closed,
  unsaved: load,
  rows: () => filters.of(state.rows),
});
let trouble = null;
let loading = null;
let loaded = 0; // when that was
let stale = false; // something changed after the current load began
let spoken = 0;
let background = false;

// -- Data and events

function load() {
  stale = loading !== null;
  const { turns } = state;
  loading ??= api
    .project()
    .then((read) => {
      trouble = null;
      loaded = Date.now();
      state.load(read, turns);
    })
    .catch((error) => {
      trouble = { message: error.message, hint: error.hint, faults: error.faults, reload: true };
      state.touch("run");
    })
    .finally(() => {
      loading = null;
      if (stale) load();
    });
}

// Another client may have chosen. Answers come in order: the last one is the newest.
let choosing = Promise.resolve();
function chosen() {
  if (loading) stale = true;
  else
    choosing = choosing.then(async () => {
      try {
        state.choose(await api.selections());
      } catch (error) {
        // The file or the project is damaged: the board says which.
        if (error.status === 422) load();
      }
    });
}

// Files may have been edited, drawn or deleted while the page was hidden.
function loadAgain() {
  if (document.hidden || state.run.active || Date.now() - loaded < FRESH) return;
  load();
}

function heard(event) {
  const known = state.hear(event);
  if (event.type === "start") {
    trouble = null;
    spoken = Date.now();
    say("Drawing started", event);
  }
  if (event.type === "error") say(event.message, event);
  if (event.type === "complete") say(ending(event), event);
  if (event.type === "progress" && event.status === "error") {
    say(`${state.nameOf(event)} in ${event.style} failed`, event);
  }
  if (trouble?.message === BUSY && !state.run.active) trouble = null;
  // The disk has the result of a run, and beats may have been edited before it.
  if (!known || event.type === "complete" || event.type === "error") load();
}

function ending(event) {
  let [there, total] = [0, 0];
  for (const counts of Object.values(event.counts)) {
    there += counts.complete + counts.skipped + counts.outdated;
    total += counts.total;
  }
  return `Drawing ended: ${there} of ${plural(total, "image")}`;
}

function connected(there, refused = false) {
  setHidden(byId("offline"), there);
  const words = refused
    ? "The server was restarted, or is busy. Open the URL that imagegen serve shows now."
    : "The server does not answer. Retrying; an active run continues without it.";
  if (!there) setText(byId("offline"), words);
  if (there && state.lost) load();
  else if (there) chosen(); // what was chosen before the connection
  if (state.lost === there) state.touch("run");
  state.lost = !there;
}

// Announces a sentence to screen readers, but not for past events.
function say(words, event) {
  if (Date.now() - Date.parse(event.time) < 10_000) setText(byId("live"), words);
}

function sayHowFar() {
  if (!state.run.active || Date.now() - spoken < SPOKEN) return;
  spoken = Date.now();
  const parts = state.styles.map((style) => {
    const counts = state.counts(style);
    return `${style} ${counts.there} of ${counts.total}`;
  });
  setText(byId("live"), parts.join(", "));
}

// -- What is shown

function paint(dirty) {
  setHidden(byId("progress"), !state.project);
  setHidden(byId("board"), !state.project);
  if (!state.project) {
    paintNotices();
    return;
  }
  if (dirty.has("all")) {
    setShape();
    grid.show(state, filters.keeps);
    review.renew();
  }
  for (const row of dirty) {
    if (typeof row === "object") grid.paintRow(row);
  }
  bars.paint(state);
  paintTop();
  filters.paint(state.rows, state.choicesFault);
  grid.filterRows(state, filters);
  if (dirty.has("all") || dirty.has("run")) paintNotices();
  if (dirty.has("all") || dirty.has(review.row)) review.paint();
}

function setShape() {
  const [wide, high] = state.project.aspect_ratio.split(":").map(Number);
  const { style } = document.documentElement;
  style.setProperty("--styles", String(state.styles.length));
  style.setProperty("--shape", `${wide} / ${high}`);
  style.setProperty("--wide", String(wide / high));
}

function paintTop() {
  const { project, run, styles } = state;
  const { there, shown, total, left } = state.sums();
  setText(byId("project"), project.project);
  const what = [
    plural(state.rows.length, "beat"),
    plural(styles.length, "style"),
    `${project.image_size} ${project.aspect_ratio}`,
  ];
  setText(byId("about"), [...what, project.provider].join(" · "));
  document.title = run.active
    ? `${there}/${total} · ${project.project}`
    : `${project.project} · imagegen`;
  // No other button appears under a pointer on Stop when a run ends.
  const stopping = run.active || (CAN_HOVER.matches && byId("stop").matches(":hover"));
  setHidden(byId("start"), stopping);
  const { whyNoStart } = state;
  byId("start").disabled = whyNoStart !== null;
  const cost = project.price ? ` · about ${money(left * project.price)}` : "";
  setText(byId("start"), `Start · ${whyNoStart ?? `${plural(left, "image")}${cost}`}`);
  setHidden(byId("stop"), !stopping);
  byId("stop").disabled = run.stopping || !run.active;
  setText(byId("stop"), run.active ? (run.stopping ? "Stopping" : "Stop") : "Ended");
  byId("stop").title = run.stopping ? "Requests in flight are finished first" : "";
  setHidden(byId("background"), !stopping);
  setText(byId("background"), background ? "Show progress" : "Hide progress");
  byId("review-all").disabled = shown === 0;
  byId("review-all").title = shown ? "" : "There are no images yet";
  byId("review-all").classList.toggle("primary", left === 0 && there > 0);
  document.body.classList.toggle("running", run.active);
  document.body.classList.toggle("background", background && run.active);
}

function paintNotices() {
  const actions = { showFailed: () => filters.choose("failed"), reload: load };
  byId("notices").replaceChildren(...notices(state, trouble, actions));
}

function changed(row) {
  state.touch(row);
}

// -- Actions

async function generate(asked, report = showTrouble) {
  try {
    const first = await api.generate(asked);
    if (first.type === "error") report(first.message, first);
  } catch (error) {
    if (error.status === 409) report(BUSY);
    else report(error.message, error);
  }
}

function showTrouble(message, { hint = null, faults = [] } = {}) {
  trouble = { message, hint, faults };
  state.touch("run");
}

function redraw(cell, report = showTrouble) {
  const { row, style, shot } = cell;
  if (state.run.active) {
    report(BUSY);
    return;
  }
  generate({ style, shot, beat: row.beat, force: Boolean(cell.version) }, report);
}

function open(row, style) {
  review.open(row, style);
}

function closed(row, style) {
  grid.focus(row, style);
}

function reviewAll() {
  const rows = filters.of(state.rows);
  const first = rows.find((row) => !row.chosen) ?? rows[0] ?? state.rows[0];
  if (first) review.open(first, first.chosen?.style);
}

byId("start").onclick = () => generate({});
byId("stop").onclick = () => {
  state.run.stopping = true;
  state.touch("run");
  api.stop().catch((error) => {
    state.run.stopping = false;
    showTrouble(error.message, error);
  });
};
byId("stop").onpointerleave = () => state.touch("run");
byId("background").onclick = () => {
  background = !background;
  setText(
    byId("live"),
    background ? "The run continues; you can close this page." : "",
  );
  state.touch("run");
};
byId("review-all").onclick = reviewAll;

load();
follow({ heard, chosen, connected });
let awaited = false; // a time in a notice is still in the future
setInterval(() => {
  const toCome = isToCome(state.ended?.resume_after);
  if (awaited && !toCome) state.touch("run");
  awaited = toCome;
  if (!state.run.active || document.hidden) return;
  if (state.project) bars.paint(state);
  sayHowFar();
}, TICK);
document.addEventListener("visibilitychange", loadAgain);
window.addEventListener("focus", loadAgain);

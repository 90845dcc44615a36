// A bar per style: its progress, its beats, and what it waits for.

import { make, setAttribute, setText } from "./dom.js";
import { GLYPHS, IN_WORDS, STATUSES, money, plural, span } from "./words.js";

const PARTS = ["there", "generating", "error"];

export class Bars {
  // `now` and `left` show what the whole run does, and its remaining time.
  constructor(place, now, left) {
    this._place = place;
    this._now = now;
    this._left = left;
    this._bars = new Map();
  }

  paint(state) {
    if ([...this._bars.keys()].join() !== state.styles.join()) this._build(state.styles);
    for (const [style, bar] of this._bars) this._paintOne(state, style, bar);
    setText(this._now, doing(state));
    setText(this._left, untilWhen(state));
  }

  _build(styles) {
    this._bars = new Map(styles.map((style) => [style, build(style)]));
    this._place.replaceChildren(...[...this._bars.values()].map((bar) => bar.whole));
  }

  _paintOne(state, style, bar) {
    const counts = state.counts(style);
    // A run replaces placeholders: until it ends, only what is drawn counts as done.
    const done = state.run.active ? counts.there : counts.shown;
    setText(bar.count, `${done}/${counts.total}`);
    setAttribute(bar.track, "aria-valuemax", String(counts.total));
    setAttribute(bar.track, "aria-valuenow", String(done));
    setAttribute(bar.track, "aria-valuetext", inWords(done, counts));
    for (const part of PARTS) {
      bar.parts[part].style.flexGrow = String(counts[part] ?? 0);
    }
    bar.rest.style.flexGrow = String(
      PARTS.reduce((left, p) => left - (counts[p] ?? 0), counts.total),
    );
    for (const status of STATUSES) {
      const count = counts[status] ?? 0;
      setText(bar.counts[status].number, String(count));
      bar.counts[status].whole.hidden = !count;
    }
    setText(bar.message, message(state, style, counts));
  }
}

function build(style) {
  const name = make("h3", { textContent: style, id: `bar-${style}` });
  const count = make("p", { className: "count" });
  const parts = Object.fromEntries(PARTS.map((part) => [part, make("span", { className: part })]));
  const rest = make("span", { className: "rest" });
  const track = make(
    "div",
    { className: "track", role: "progressbar", "aria-labelledby": name.id, "aria-valuemin": "0" },
    ...Object.values(parts),
    rest,
  );
  const counts = Object.fromEntries(STATUSES.map((status) => [status, countOf(status)]));
  const glyphs = make("ul", { className: "counts" }, ...Object.values(counts).map((c) => c.whole));
  const message = make("p", { className: "message muted" });
  const whole = make(
    "div",
    { className: "bar" },
    make("div", { className: "bar-top" }, name, count),
    track,
    make("div", { className: "bar-bottom" }, glyphs, message),
  );
  return { whole, count, track, parts, rest, counts, message };
}

function countOf(status) {
  const number = make("span");
  const whole = make(
    "li",
    { "data-status": status, title: IN_WORDS[status] },
    make("span", { className: "glyph", "aria-hidden": "true", textContent: GLYPHS[status] }),
    number,
    make("span", { className: "unseen", textContent: ` ${IN_WORDS[status]}` }),
  );
  return { whole, number };
}

function inWords(done, counts) {
  const failed = counts.error ? `, ${counts.error} failed` : "";
  const sketches = counts.sketches ? `, ${plural(counts.sketches, "placeholder")}` : "";
  return `${done} of ${plural(counts.total, "image")}${sketches}${failed}`;
}

function message(state, style, counts) {
  if (!counts.total) return "no beats";
  if (!state.run.active) return "";
  const busy = (counts.generating ?? 0) + (counts.pending ?? 0) > 0;
  if (!busy) return "done";
  const wait = state.waits.get(style);
  const seconds = wait?.until ? (Date.parse(wait.until) - Date.now()) / 1000 : 0;
  if (seconds > 0 && !counts.generating) {
    return `${wait.reason === "keys" ? "next" : "retry"} in ${span(seconds)}`;
  }
  const left = state.forecast?.styles?.[style];
  if (!left || state.run.stopping) return "";
  return `${span(Math.max(secondsLeft(state.forecast, left), seconds))} left`;
}

function doing({ run, started, waits }) {
  if (!run.active) return "";
  if (run.stopping) return "Stopping: requests in flight are finished first";
  return waits.get(null)?.message ?? (started?.resumes ? "Resuming" : "Drawing");
}

function untilWhen({ run, forecast, waits }) {
  if (!run.active || !forecast) return "";
  const parts = [];
  // The forecast is for the whole selection, which a stopping run does not draw.
  if (forecast.seconds && !run.stopping)
    parts.push(`About ${span(leftOfAll(forecast, waits))} left`);
  if (forecast.cost_in_all)
    parts.push(`${money(forecast.cost ?? 0)} of about ${money(forecast.cost_in_all)}`);
  return parts.join(" · ");
}

// Never less than until a waiting request leaves.
function leftOfAll(forecast, waits) {
  const untils = [...waits.values()].map(({ until }) => (until ? Date.parse(until) : 0));
  const next = (Math.max(0, ...untils) - Date.now()) / 1000;
  return Math.max(secondsLeft(forecast, forecast.seconds), next);
}

function secondsLeft(forecast, seconds) {
  return seconds - (Date.now() - Date.parse(forecast.time)) / 1000;
}

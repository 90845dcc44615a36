// The review: one beat at a time, its images side by side. Choices are saved at once.

import * as api from "./api.js";
import { byId, make, setAttribute, setHidden, setText } from "./dom.js";
import { pathOf } from "./grid.js";
import { GLYPHS, changedLabel, inWords } from "./words.js";

export class Review {
  // `actions` has changed(row), unsaved(), redraw(cell), closed(row, style) and rows(): those to
  // move among.
  constructor(state, actions) {
    this._state = state;
    this._actions = actions;
    this._dialog = byId("review");
    this._row = null;
    this._style = null; // the image that R redraws
    this._own = false;
    this._panels = new Map();
    this._dialog.addEventListener("keydown", (event) => this._key(event));
    this._dialog.addEventListener("close", () => {
      this.zoom(false);
      this._actions.closed(this._row, this._style);
    });
    byId("review-close").onclick = () => this._dialog.close();
    byId("review-before").onclick = () => this.move(-1);
    byId("review-next").onclick = () => this.move(1);
    byId("review-flag").onclick = () => this.flag();
    byId("review-redraw").onclick = () => this.redraw();
    byId("review-zoom").onclick = () => this.zoom();
  }

  get row() {
    return this._dialog.open ? this._row : null;
  }

  open(row, style) {
    if (!this._dialog.open) this._dialog.showModal();
    this._say("");
    this._show(row, style);
    byId("review-title").focus();
  }

  // The board was reloaded: show the same beat again.
  renew() {
    if (!this.row) return;
    const row = this._state.rows.find((one) => one.name === this._row.name);
    if (!row) this._dialog.close();
    else if (row !== this._row || this._hasOtherStyles(row)) this._show(row, this._style);
    else this.paint();
  }

  _hasOtherStyles({ cells }) {
    return cells.size !== this._panels.size || [...this._panels.keys()].some((s) => !cells.has(s));
  }

  // Shows what has changed of the beat.
  paint() {
    const row = this.row;
    if (!row) return;
    const rows = this._actions.rows();
    const at = rows.indexOf(row);
    setText(byId("review-place"), `${row.name}${at < 0 ? "" : ` · ${at + 1} of ${rows.length}`}`);
    setText(byId("review-title"), row.phrase || `Beat ${row.name}`);
    // If any style has its own prompt, every image has its prompt below it.
    this._own = [...row.cells.values()].some((cell) => cell.prompt !== null);
    setText(byId("review-prompt"), this._own ? "" : row.prompt);
    letMove(byId("review-before"), at !== 0, "This is the first beat");
    letMove(byId("review-next"), at !== rows.length - 1, "This is the last beat");
    const flagged = Boolean(row.chosen?.isFlagged);
    setAttribute(byId("review-flag"), "aria-pressed", String(flagged));
    setText(byId("review-flag").querySelector("span"), flagged ? "Flagged" : "Flag");
    setText(byId("review-redraw").querySelector(".style"), this._style ?? "");
    for (const [style, panel] of this._panels) this._paintPanel(style, panel);
    for (const words of this._dialog.querySelectorAll(".prompt")) letScroll(words);
  }

  move(by) {
    const rows = this._actions.rows();
    const at = rows.indexOf(this._row);
    // A beat that the filter no longer keeps stays until you move on.
    const { at: here } = this._row;
    const near = by > 0 ? rows.find((row) => row.at > here) : rows.findLast((row) => row.at < here);
    const next = at < 0 ? near : rows[at + by];
    if (!next) return;
    this._say("");
    this._show(next, this._style);
  }

  choose(style) {
    const row = this._row;
    const cell = row.cells.get(style);
    if (!cell) return;
    this._style = style;
    if (!cell.version) {
      this._say(`${style} has no image yet`);
      this.paint();
      return;
    }
    const taken = row.chosen?.style === style && row.chosen.since === "same";
    const isFlagged = Boolean(row.chosen?.isFlagged);
    this._save(row, taken ? null : { style, isFlagged, since: "same" }, {
      style: taken ? null : style,
    });
  }

  flag() {
    const { chosen } = this._row;
    if (!chosen) {
      this._say("Choose an image first: a flag marks the chosen one");
      return;
    }
    const isFlagged = !chosen.isFlagged;
    this._save(this._row, { ...chosen, isFlagged }, { isFlagged });
  }

  // Shows one image as large as possible, or all of them.
  zoom(zoomed = !this._zoomed) {
    byId("review-pictures").classList.toggle("zoomed", zoomed);
    setAttribute(byId("review-zoom"), "aria-pressed", String(zoomed));
  }

  get _zoomed() {
    return byId("review-pictures").classList.contains("zoomed");
  }

  _enlarge(style) {
    this._style = style;
    this.zoom();
    this.paint();
  }

  redraw() {
    const cell = this._row.cells.get(this._style);
    if (cell) this._actions.redraw(cell, (words) => this._say(words));
  }

  // Shows the choice at once and saves its changes in order, so that the last one wins.
  _save(row, choice, change) {
    const before = row.chosen;
    row.chosen = choice;
    row.unsaved += 1;
    this._actions.changed(row);
    this._say("Saving");
    row.saving = row.saving.then(async () => {
      let failed = false;
      try {
        const saved = await api.save({ shot_number: row.shot, beat_number: row.beat, ...change });
        if (row.chosen === choice) row.chosen = saved;
        this._say(
          choice
            ? `Saved: ${choice.style}${choice.isFlagged ? ", flagged" : ""}`
            : "Saved: no image is chosen",
        );
      } catch (error) {
        if (row.chosen === choice) row.chosen = before;
        this._say(`Not saved: ${error.message}`);
        failed = true;
      }
      row.unsaved -= 1;
      this._actions.changed(row);
      // The page no longer shows what is saved.
      if (failed) this._actions.unsaved();
    });
  }

  _show(row, style) {
    this._row = row;
    const styles = [...row.cells.keys()];
    this._style = styles.includes(style) ? style : (row.chosen?.style ?? styles[0] ?? null);
    const order = this._state.styles.filter((one) => row.cells.has(one));
    this._panels = new Map(order.map((one) => [one, this._panel(one)]));
    byId("review-pictures").replaceChildren(
      ...[...this._panels.values()].map((panel) => panel.whole),
    );
    this.paint();
  }

  _panel(style) {
    const number = this._state.styles.indexOf(style) + 1;
    const glyph = make("span", { className: "glyph", "aria-hidden": "true" });
    const words = make("span", { className: "state" });
    const choose = make(
      "button",
      { type: "button", className: "choose", "aria-keyshortcuts": String(number) },
      make("kbd", { textContent: String(number), "aria-hidden": "true" }),
      make("span", { textContent: style }),
      make("span", { className: "unseen state-words" }),
    );
    choose.onclick = () => this.choose(style);
    const frame = make("div", { className: "frame" }, glyph);
    frame.onclick = () => this._enlarge(style);
    const reason = make("p", { className: "reason", hidden: true });
    const prompt = make("p", { className: "prompt muted", hidden: true });
    const whole = make(
      "figure",
      { className: "panel" },
      frame,
      make("figcaption", {}, choose, words),
      reason,
      prompt,
    );
    whole.addEventListener("focusin", () => this._at(style));
    return { whole, frame, glyph, words, choose, reason, prompt, image: null, version: null };
  }

  _at(style) {
    this._style = style;
    this.paint();
  }

  _paintPanel(style, panel) {
    const cell = this._row.cells.get(style);
    const chosen = this._row.chosen?.style === style;
    setAttribute(panel.whole, "data-status", cell.status);
    setAttribute(panel.whole, "data-chosen", chosen ? "" : null);
    setAttribute(panel.whole, "data-current", style === this._style ? "" : null);
    setAttribute(panel.choose, "aria-pressed", String(chosen));
    setText(panel.glyph, GLYPHS[cell.status]);
    const redrawn = chosen && this._row.chosen.since === "redrawn";
    const marks = [redrawn ? "redrawn since chosen" : chosen ? "chosen" : "", stateOf(cell)];
    setText(panel.words, marks.filter(Boolean).join(", "));
    setHidden(panel.reason, !cell.error);
    setText(panel.reason, cell.error ? cell.error.message || cell.error.reason : "");
    setHidden(panel.prompt, !this._own);
    setText(panel.prompt, cell.prompt ?? this._row.prompt);
    if (cell.version === panel.version) return;
    panel.version = cell.version;
    if (cell.version === null) {
      panel.image?.remove();
      panel.image = null;
      return;
    }
    if (!panel.image) {
      panel.image = make("img", { alt: `${this._row.name} in ${style}`, decoding: "async" });
      panel.image.onload = () => panel.image?.classList.add("there");
      panel.frame.prepend(panel.image);
    }
    panel.image.src = `images/${pathOf(cell)}.png?v=${encodeURIComponent(cell.version)}`;
  }

  _key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    // Long prompts are scrolled by the same keys.
    if (event.target.matches(".prompt") && /^Arrow(Up|Down)$/.test(event.key)) return;
    // A button that has the focus does what it says.
    if (event.key === "Enter" && event.target.matches("button")) return;
    const act = this._acts(event.key);
    if (!act) return;
    event.preventDefault();
    // A held key moves on, but does not choose, save or draw repeatedly.
    if (event.repeat && !event.key.startsWith("Arrow")) return;
    act();
  }

  _acts(key) {
    const style = this._state.styles[Number(key) - 1];
    if (style) return () => this.choose(style);
    const styles = [...this._panels.keys()];
    const at = styles.indexOf(this._style);
    const other = (by) => () => this._at(styles[Math.min(Math.max(at + by, 0), styles.length - 1)]);
    return {
      f: () => this.flag(),
      F: () => this.flag(),
      r: () => this.redraw(),
      R: () => this.redraw(),
      z: () => this.zoom(),
      Z: () => this.zoom(),
      Escape: this._zoomed ? () => this.zoom(false) : null,
      Enter: this._style ? () => this.choose(this._style) : null,
      ArrowLeft: () => this.move(-1),
      ArrowRight: () => this.move(1),
      ArrowUp: other(-1),
      ArrowDown: other(1),
    }[key];
  }

  _say(words) {
    setText(byId("review-said"), words);
  }
}

// A disabled button says why.
function letMove(button, can, why) {
  button.disabled = !can;
  button.title = can ? "" : why;
}

// Text that does not fit can be scrolled with the keyboard too.
function letScroll(element) {
  setAttribute(element, "tabindex", element.scrollHeight > element.clientHeight ? "0" : null);
}

function stateOf(cell) {
  const said = [];
  if (cell.changed.length) said.push(`outdated: ${changedLabel(cell.changed)}`);
  else if (cell.status !== "complete") said.push(inWords(cell));
  if (cell.misfit) said.push(cell.misfit);
  return said.join("; ");
}

// The grid: a row per beat, a column per style. Only changed cells are updated.

import { make, setAttribute, setHidden, setText } from "./dom.js";
import { GLYPHS, changedLabel, inWords } from "./words.js";

const AT_ONCE = 40; // rows: more than a screen
const PIECE = 100;

export class Grid {
  // `actions` has open(row, style) and redraw(cell).
  constructor(place, none, actions) {
    this._place = place;
    this._none = none;
    this._actions = actions;
    this._rows = new Map(); // by row
    this._building = 0;
    this._words = "";
    this._keeps = () => true;
  }

  // Shows the board. If its texts are the same, only changed cells are updated.
  show(state, keeps) {
    this._keeps = keeps;
    const words = JSON.stringify([
      state.styles,
      state.rows.map((row) => [row.name, row.phrase, row.prompt, ...row.cells.keys()]),
    ]);
    if (words !== this._words) this._buildAll(state);
    else state.rows.forEach((row) => this.paintRow(row));
    this._words = words;
  }

  // Builds all rows: those of the first screen at once, the others when there is time.
  _buildAll(state) {
    this._building += 1;
    this._rows.clear();
    const head = make(
      "div",
      { role: "row", className: "row head" },
      make("div", { role: "columnheader", className: "words", textContent: "Beat" }),
      ...state.styles.map((style) => make("div", { role: "columnheader", textContent: style })),
    );
    this._place.replaceChildren(head);
    this._add(state, 0, AT_ONCE, this._building);
  }

  _add(state, from, count, building) {
    if (building !== this._building) return; // the board was reloaded meanwhile
    const rows = state.rows.slice(from, from + count);
    this._place.append(...rows.map((row) => this._build(state, row)));
    const left = state.rows.length - from - count;
    if (left <= 0) {
      this._place.setAttribute("aria-rowcount", String(state.rows.length + 1));
      return;
    }
    const when = window.requestIdleCallback ?? ((act) => setTimeout(act, 1));
    when(() => this._add(state, from + count, PIECE, building));
  }

  _build(state, row) {
    const cells = new Map(state.styles.map((style) => [style, this._cell(row, style)]));
    const shot = make("p", { className: "shot", textContent: `Shot ${row.shot}`, hidden: true });
    const number = make("p", { className: "number" }, make("span", { textContent: row.name }));
    const flag = make("span", { className: "flag", textContent: "flagged", hidden: true });
    const redrawn = make("span", {
      className: "flag",
      textContent: "redrawn since chosen",
      hidden: true,
    });
    const outdated = make("span", {
      className: "flag",
      textContent: "chosen image is outdated",
      hidden: true,
    });
    number.append(flag, redrawn, outdated);
    const words = make(
      "div",
      { role: "rowheader", className: "words" },
      shot,
      number,
      make("p", { className: "phrase", textContent: row.phrase }),
      make("p", { className: "prompt muted", textContent: row.prompt, title: row.prompt }),
    );
    const whole = make(
      "div",
      { role: "row", className: "row" },
      words,
      ...[...cells.values()].map((c) => c.whole),
    );
    this._rows.set(row.name, { whole, cells, shot, flag, redrawn, outdated });
    this.paintRow(row);
    this._arrange(row);
    return whole;
  }

  _cell(row, style) {
    const cell = row.cells.get(style);
    if (!cell) {
      const none = make("span", {
        className: "unseen",
        textContent: `no image in ${style}`,
      });
      return { whole: make("div", { role: "cell", className: "cell" }, none) };
    }
    const glyph = make("span", { className: "glyph", "aria-hidden": "true" });
    const picture = make("button", { type: "button", className: "picture" }, glyph);
    picture.onclick = () => this._actions.open(row, style);
    const reason = make("span", { className: "reason" });
    const again = make("button", { type: "button", className: "small", textContent: "Redraw" });
    again.setAttribute("aria-label", `Redraw ${row.name} in ${style}`);
    again.onclick = () => this._actions.redraw(row.cells.get(style));
    const failed = make("div", { className: "failed", hidden: true }, reason, again);
    const whole = make("div", { role: "cell", className: "cell" }, picture, failed);
    return { whole, glyph, picture, reason, again, failed, image: null, version: null };
  }

  // Shows what a row's cells are now.
  paintRow(row) {
    const built = this._rows.get(row.name);
    if (!built) return; // built later, as it is then
    setHidden(built.flag, !row.chosen?.isFlagged);
    setHidden(built.redrawn, row.chosen?.since !== "redrawn");
    setHidden(built.outdated, row.cells.get(row.chosen?.style)?.status !== "outdated");
    for (const [style, cell] of row.cells) this._paintCell(built.cells.get(style), cell);
  }

  _paintCell(built, cell) {
    const { row, style, status } = cell;
    const chosen = row.chosen?.style === style;
    setAttribute(built.whole, "data-status", status);
    setAttribute(built.whole, "data-chosen", chosen ? "" : null);
    setText(built.glyph, GLYPHS[status]);
    setAttribute(built.picture, "aria-label", label(cell, chosen));
    setAttribute(built.picture, "title", title(cell));
    if (cell.version !== built.version) this._show(built, cell);
    const reason = cell.error ? cell.error.message || cell.error.reason : blocker(cell);
    setHidden(built.failed, !reason);
    if (reason) {
      setText(built.reason, reason);
      setHidden(built.again, status !== "error");
    }
  }

  _show(built, cell) {
    built.version = cell.version;
    if (cell.version === null) {
      built.image?.remove();
      built.image = null;
      return;
    }
    if (!built.image) {
      built.image = make("img", {
        alt: "",
        loading: "lazy",
        decoding: "async",
        width: 480,
        height: 270,
      });
      built.image.onload = () => built.image?.classList.add("there");
      built.picture.prepend(built.image);
    }
    // The old image stays until the new one is loaded.
    built.image.src = `thumbnails/${pathOf(cell)}.jpg?v=${encodeURIComponent(cell.version)}`;
  }

  // Shows the rows that a filter keeps.
  filterRows(state, { keeps, none }) {
    this._keeps = keeps;
    let kept = 0;
    let shot = null;
    const several = new Set(state.rows.map((row) => row.shot)).size > 1;
    for (const row of state.rows) {
      const isKept = keeps(row);
      row.opensShot = several && isKept && row.shot !== shot;
      if (isKept) {
        shot = row.shot;
        kept += 1;
      }
      this._arrange(row);
    }
    setHidden(this._none, kept > 0);
    setHidden(this._place, kept === 0);
    setText(this._none, none);
  }

  // Shows or hides a row, with its shot's name if it is the first of the shot.
  _arrange(row) {
    const built = this._rows.get(row.name);
    if (!built) return;
    setHidden(built.whole, !this._keeps(row));
    setHidden(built.shot, !row.opensShot);
    setAttribute(built.whole, "data-opens", row.opensShot ? "" : null);
  }

  // Focuses a beat's image, if it is shown.
  focus(row, style) {
    this._rows.get(row.name)?.cells.get(style)?.picture?.focus();
  }
}

export function pathOf(cell) {
  const { style, shot, row } = cell;
  return [style, shot, row.beat].map(encodeURIComponent).join("/");
}

function label(cell, chosen) {
  const marks = [inWords(cell)];
  if (cell.changed.length) marks.push(changedLabel(cell.changed));
  if (cell.misfit) marks.push(cell.misfit);
  if (chosen) marks.push("chosen");
  return `${cell.row.name} in ${cell.style}: ${marks.join(", ")}. Review`;
}

function blocker(cell) {
  return cell.status === "blocked" ? inWords(cell) : "";
}

function title(cell) {
  const changed = cell.changed.length ? `: ${changedLabel(cell.changed)}` : "";
  const misfit = cell.misfit ? `, ${cell.misfit}` : "";
  return `${cell.style}: ${inWords(cell)}${changed}${misfit}`;
}

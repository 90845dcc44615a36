// Which beats are shown: all, or those that need a decision.

import { make, setText } from "./dom.js";

const FILTERS = {
  all: { words: "All", none: "This storyboard has no beats.", keeps: () => true },
  unchosen: {
    words: "Unchosen",
    none: "Every beat has a chosen image.",
    keeps: (row) => !row.chosen,
  },
  failed: {
    words: "Failed",
    none: "No beat has failed.",
    keeps: (row) => [...row.cells.values()].some((cell) => cell.status === "error"),
  },
  flagged: {
    words: "Flagged",
    none: "No beat is flagged.",
    keeps: (row) => Boolean(row.chosen?.isFlagged),
  },
  redrawn: {
    words: "Redrawn since chosen",
    none: "No image was redrawn since it was chosen.",
    keeps: (row) => row.chosen?.since === "redrawn",
  },
};

export class Filters {
  // `changed` is called when another one is chosen.
  constructor(place, tally, changed) {
    this._tally = tally;
    this._changed = changed;
    this._name = "all";
    this._built = new Map(
      Object.entries(FILTERS).map(([name, one]) => [name, this._build(name, one)]),
    );
    place.append(...[...this._built.values()].map(({ label }) => label));
  }

  _build(name, { words }) {
    const checked = name === this._name;
    const input = make("input", { type: "radio", name: "filter", value: name, checked });
    input.onchange = () => this.choose(name);
    const count = make("span", { className: "number" });
    const label = make("label", {}, input, make("span", { textContent: words }), count);
    return { input, count, label };
  }

  choose(name) {
    this._name = name;
    this._built.get(name).input.checked = true;
    this._changed();
  }

  // Whether a row is shown.
  get keeps() {
    return FILTERS[this._name].keeps;
  }

  // The text if no row is shown.
  get none() {
    return FILTERS[this._name].none;
  }

  of(rows) {
    return rows.filter(this.keeps);
  }

  // `fault` is why the choices cannot be read.
  paint(rows, fault) {
    for (const [name, { count }] of this._built) {
      setText(count, String(rows.filter(FILTERS[name].keeps).length));
    }
    const chosen = rows.filter((row) => row.chosen).length;
    setText(
      this._tally,
      fault ? "choices cannot be read" : `${chosen} of ${rows.length} chosen`,
    );
  }
}

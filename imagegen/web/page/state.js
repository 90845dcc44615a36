// The page's state: the board as loaded, and the events since.
//
// Changes are collected until the next frame: each event costs only what it changes.

const DRAWN = new Set(["complete", "skipped", "outdated"]);
const LEFT = ["pending", "blocked", "error"];

export class State {
  constructor(paint) {
    this.project = null;
    this.styles = [];
    this.rows = [];
    this.run = { active: false, id: null, stopping: false };
    this.started = null; // the `start` event of the run that is active
    this.ended = null; // the last event of the last run
    this.forecast = null;
    this.waits = new Map(); // by style, or null for all
    this.warnings = [];
    this.lost = false; // whether the server does not answer
    this.choicesFault = null; // why the file of choices cannot be read
    this.turns = 0; // how often a run was heard to begin or end
    this.said = 0; // how many beats this run needs nothing more of
    this._paint = paint;
    this._cells = new Map();
    this._names = new Map(); // what each beat is called, by its key
    this._live = new Map(); // the last event of each beat in this run
    this._dirty = new Set();
    this._asked = false;
  }

  // Loads the board from the server. Events of the active run are newer, and so is the run itself
  // if `turns` has changed since the request.
  load({ board, chosen, choices_fault: fault = null, run, ended }, turns) {
    this.project = board;
    this.styles = Object.keys(board.styles);
    this._cells.clear();
    this._names = namesOf(board.rows);
    const before = new Map(this.rows.map((row) => [row.name, row]));
    this.rows = board.rows.map((row, at) => this._row(row, at, before.get(row.name)));
    this.choose(chosen, fault);
    if (turns === this.turns) this._follow(run, ended);
    for (const event of this._live.values()) this._progress(event);
    this.touch("all");
  }

  // Takes over which run there is: its end may be missed while there is no connection.
  _follow(run, ended) {
    const known = this.run.active ? this.run.id : this.ended?.run;
    if (run.active && run.run === known) return; // one that has ended only releases the project
    if (this.run.active) this._rest();
    this.run = { active: run.active, id: run.run, stopping: false };
    this.ended = ended ?? (run.run && !run.active ? { ...run, messages: [] } : null);
  }

  // Takes over what is chosen, or why that cannot be read. What is being saved is newer.
  choose(chosen, fault = null) {
    if (fault !== this.choicesFault) this.touch("run");
    this.choicesFault = fault;
    const choices = new Map(chosen.map((one) => [one.name, one]));
    for (const row of this.rows) {
      if (row.unsaved) continue;
      const [before, one] = [row.chosen, choices.get(row.name) ?? null];
      row.chosen = one;
      if (!isSame(before, one)) this.touch(row);
    }
  }

  // Makes a row of what was read, or brings the one of before up to date: others hold on to it.
  _row(read, at, before) {
    const row = before ?? {
      name: read.name,
      cells: new Map(),
      chosen: null,
      saving: Promise.resolve(),
      unsaved: 0,
    };
    const { shot, beat, phrase, prompt } = read;
    Object.assign(row, { at, shot, beat, phrase, prompt });
    const cells = new Map();
    for (const [style, cell] of Object.entries(read.cells)) {
      const own = row.cells.get(style) ?? { row, style };
      const unset = {
        version: null,
        error: null,
        changed: [],
        prompt: null,
        placeholder: false,
        shot,
      };
      Object.assign(own, unset, cell);
      const blank = { version: null, error: null, changed: [], prompt: null, misfit: null, shot };
      Object.assign(own, blank, cell);
      own.blockedBy = this._blocker(own.shot, cell.blocked_by);
      cells.set(style, own);
      this._cells.set(`${style}/${keyOf(own.shot, beat)}`, own);
    }
    row.cells = cells;
    return row;
  }

  // What the beat of an event is called.
  nameOf({ shot_number: shot, beat_number: beat }) {
    return this._names.get(keyOf(shot, beat)) ?? beat;
  }

  _blocker(shot, beat) {
    return beat ? this.nameOf({ shot_number: shot, beat_number: beat }) : null;
  }

  // Handles an event; returns whether the page knows its beat.
  hear(event) {
    switch (event.type) {
      case "start":
        this._begin(event);
        break;
      case "progress":
        this._live.set(`${event.style}/${keyOf(event.shot_number, event.beat_number)}`, event);
        // Before the board is loaded, events wait for it.
        return !this.project || this._progress(event);
      case "forecast":
        this.forecast = event;
        break;
      case "wait":
        this._wait(event);
        break;
      case "warning":
        this.warnings.push(event.message);
        break;
      case "complete":
      case "error":
        this._end(event);
        break;
      default: // of a later version
        return true;
    }
    this.touch("run");
    return true;
  }

  _begin(event) {
    this.turns += 1;
    this.run = { active: true, id: event.run, stopping: false };
    this.started = event;
    this.ended = this.forecast = null;
    this.warnings = [];
    this.waits.clear();
    this._live.clear();
    this.said = 0;
    for (const totals of Object.values(event.styles)) {
      this.said += totals.complete + totals.skipped + totals.outdated + totals.waived;
    }
    for (const [style, { pending }] of Object.entries(event.styles)) this._renew(style, pending);
  }

  // A run that draws everything a style lacks retries what failed before. If it draws a part,
  // the events of each beat show which.
  _renew(style, pending) {
    const lacking = [...this._cells.values()].filter(
      (cell) => cell.style === style && !cell.version && cell.status !== "waived",
    );
    if (pending < lacking.length) return;
    for (const cell of lacking) {
      Object.assign(cell, { status: "pending", error: null, blockedBy: null });
      this.touch(cell.row);
    }
  }

  _progress(event) {
    const cell = this._cells.get(`${event.style}/${keyOf(event.shot_number, event.beat_number)}`);
    if (!cell) return false;
    if (event.status === "complete") {
      cell.version = `${event.run}-${event.seq}`;
      cell.changed = [];
      cell.placeholder = false;
      cell.misfit = event.misfit ?? null;
      const { chosen } = cell.row;
      if (chosen?.style === cell.style && isDrawnAfter(event, chosen)) chosen.since = "redrawn";
    }
    cell.status = event.status;
    cell.error = event.error;
    cell.blockedBy = this._blocker(cell.shot, event.blocked_by);
    this.touch(cell.row);
    return true;
  }

  _wait(event) {
    if (event.reason === "stopping" || event.reason === "finishing") this.run.stopping = true;
    if (event.reason === "online") this.waits.clear();
    else this.waits.set(event.style, event);
  }

  _end(event) {
    this.turns += 1;
    this.run = { active: false, id: event.run, stopping: false };
    this.ended = event;
    this._rest();
    for (const cell of this._cells.values()) {
      // In flight when the run was interrupted: the disk has the result.
      if (cell.status !== "generating") continue;
      cell.status = cell.version ? "complete" : "pending";
      this.touch(cell.row);
    }
  }

  // Forgets the events of a finished run.
  _rest() {
    this.forecast = null;
    this.waits.clear();
    this._live.clear();
  }

  // How many of a style's beats are of each status.
  counts(style) {
    const counts = { total: 0, there: 0, shown: 0, sketches: 0 };
    for (const row of this.rows) {
      const cell = row.cells.get(style);
      if (!cell) continue;
      const status = cell.status === "skipped" ? "complete" : cell.status;
      counts.total += 1;
      if (cell.placeholder && status === "pending") counts.sketches += 1;
      counts[status] = (counts[status] ?? 0) + 1;
      if (DRAWN.has(status)) counts.there += 1;
      if (DRAWN.has(status) || (cell.placeholder && LEFT.includes(status))) counts.shown += 1;
    }
    return counts;
  }

  // The number of images that exist, exist or are placeholders, are wanted, can still be drawn,
  // failed or are outdated, and of
  // placeholders among those that can be drawn.
  sums() {
    const sums = { there: 0, shown: 0, total: 0, left: 0, failed: 0, outdated: 0, sketches: 0 };
    for (const style of this.styles) {
      const counts = this.counts(style);
      sums.there += counts.there;
      sums.shown += counts.shown;
      sums.total += counts.total;
      sums.failed += counts.error ?? 0;
      sums.outdated += counts.outdated ?? 0;
      sums.sketches += counts.sketches;
      for (const status of LEFT) sums.left += counts[status] ?? 0;
    }
    return sums;
  }

  // Why Start would draw nothing; null if it would.
  get whyNoStart() {
    if (this.lost) return "no connection";
    if (this.project.moved) return "beat numbers changed";
    return this.sums().left ? null : "nothing left to draw";
  }

  // Marks a row, "run" or "all" as changed; it is painted with the next frame.
  touch(what) {
    this._dirty.add(what);
    if (this._asked) return;
    this._asked = true;
    const paint = () => {
      this._asked = false;
      const dirty = this._dirty;
      this._dirty = new Set();
      this._paint(dirty);
    };
    // No frames come while the page is out of sight; its title still shows the progress.
    if (document.hidden) setTimeout(paint, 1000);
    else requestAnimationFrame(paint);
  }
}

// What each beat is called, by its key in any style.
function namesOf(rows) {
  const names = new Map();
  for (const { name, shot, beat, cells } of rows) {
    names.set(keyOf(shot, beat), name);
    for (const cell of Object.values(cells)) {
      if (cell.shot) names.set(keyOf(cell.shot, beat), name);
    }
  }
  return names;
}

function isSame(one, other) {
  return ["style", "isFlagged", "since"].every((name) => one?.[name] === other?.[name]);
}

// Whether an image was drawn after its style was chosen: events start at the run's beginning.
// Choices have their time to the second; for the same second the server's answer counts.
function isDrawnAfter(event, { selectedAt }) {
  return !(Date.parse(event.time) < Date.parse(selectedAt) + 1000);
}

export function keyOf(shot, beat) {
  return `${shot}/${beat}`;
}

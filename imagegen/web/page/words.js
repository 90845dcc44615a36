// Labels of beat states, and formats of times and amounts.

export const GLYPHS = {
  pending: "◦",
  blocked: "⊘",
  generating: "⟳",
  complete: "✓",
  skipped: "✓",
  outdated: "↻",
  waived: "–",
  error: "✗",
};

// In the order in which counts are shown.
export const STATUSES = [
  "complete",
  "generating",
  "pending",
  "blocked",
  "outdated",
  "waived",
  "error",
];

export const IN_WORDS = {
  pending: "not drawn yet",
  blocked: "blocked by a beat before it",
  generating: "being drawn",
  complete: "drawn",
  skipped: "drawn",
  outdated: "outdated",
  waived: "needs no image",
  error: "failed",
};

// The state of a beat in words.
export function inWords(cell) {
  if (cell.status === "pending" && cell.placeholder) return "a placeholder; the next run replaces it";
  return cell.status === "blocked" && cell.blockedBy
    ? `blocked by ${cell.blockedBy}`
    : IN_WORDS[cell.status];
}

// Why an image is outdated; answers call a prompt "words".
export function changedLabel(changed) {
  return `${changed.map((one) => (one === "words" ? "prompt" : one)).join(" and ")} changed`;
}

export function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

// 63 as 1:03, 4000 as 1:06:40.
export function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes, rest] = [
    Math.floor(whole / 3600),
    Math.floor(whole / 60) % 60,
    whole % 60,
  ];
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

export function money(dollars) {
  return dollars && dollars < 0.005 ? "less than $0.01" : `$${dollars.toFixed(2)}`;
}

export function clock(iso) {
  const moment = new Date(iso);
  if (Number.isNaN(moment.valueOf())) return "";
  const sameDay = moment.toDateString() === new Date().toDateString();
  const time = moment.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return sameDay ? time : `${moment.toLocaleDateString()} ${time}`;
}

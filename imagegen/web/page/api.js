// Requests to the server. Every failure is an Error whose message is for people.

export class RefusedError extends Error {
  constructor(status, body) {
    super(body.error ?? `the server answered ${status}`);
    this.status = status;
    this.hint = body.hint ?? null;
    this.faults = body.faults ?? [];
  }
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("the server does not answer");
  }
  if (response.ok) return response;
  throw new RefusedError(response.status, await response.json().catch(() => ({})));
}

function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  return ask(path, { method: "POST", headers, body: JSON.stringify(body) });
}

export async function project() {
  return (await ask("api/project")).json();
}

export async function selections() {
  return (await (await ask("api/image-selections")).json()).selections;
}

export async function save(choice) {
  return (await (await post("api/save-image-selection", choice)).json()).selection;
}

export async function stop() {
  return (await post("api/stop-generation", {})).json();
}

// Begins a run and returns its first event, `start` or `error`. What follows comes on the
// stream that is already open.
export async function generate(asked) {
  const response = await post("api/generate-images", asked);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let heard = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      heard += value ?? "";
      const data = heard.match(/^data: (.*)\n\n/m);
      if (data) return JSON.parse(data[1]);
      if (done) throw new Error("the server does not answer");
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

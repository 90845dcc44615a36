// The events of the project's runs, for as long as the page is open.

const AGAIN = 2000;

// `heard` gets each event, `chosen` is called when a choice has changed, `connected` gets whether
// there is a connection, and whether the server refuses one. A browser reconnects by itself and
// sends the last event's id; after a refusal it gives up, and this code retries.
export function follow({ heard, chosen, connected }) {
  const source = new EventSource("api/events");
  source.onopen = () => connected(true);
  source.onmessage = (message) => heard(JSON.parse(message.data));
  source.addEventListener("choices", chosen);
  source.onerror = () => {
    const refused = source.readyState === EventSource.CLOSED;
    connected(false, refused);
    if (refused) setTimeout(() => follow({ heard, chosen, connected }), AGAIN);
  };
}

// The events of the project's runs, for as long as the page is open.

const AGAIN = 2000;

// `heard` gets each event, `chosen` is called once somebody has chosen, `connected` gets whether there is a connection, and whether the server
// refuses one. A browser comes back alone after a loss and says how far it had heard; after a
// refusal it gives up, and it is tried anew here.
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

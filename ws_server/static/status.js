// Says where the connection is.

const WORDS = {
  connecting: "connecting",
  open: "connected",
  waiting: "reconnecting",
  offline: "offline",
  closed: "closed",
};
let timer = 0;

/** Show the state of the connection, with the seconds until the next attempt. */
export function showConnection(client) {
  const chip = document.getElementById("connection");
  const words = WORDS[client.state];
  chip.dataset.state = words;
  clearInterval(timer);
  const show = () => {
    const left = client.retryAt ? Math.ceil((client.retryAt - Date.now()) / 1000) : 0;
    chip.textContent = left > 1 ? `${words} in ${left} s` : words;
    chip.title = client.error?.message ?? "";
  };
  show();
  if (client.state === "waiting") timer = setInterval(show, 1000);
}

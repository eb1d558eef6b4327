// Says where the connection is.

const WORDS = {
  connecting: "connecting",
  open: "connected",
  waiting: "reconnecting",
  offline: "offline",
  closed: "closed",
};
/** Why it was lost, where the server said so. */
const REASONS = { restarting: "server restarting", overloaded: "server full" };
let timer = 0;

/** Show the state of the connection, with the seconds until the next attempt. */
export function showConnection(client) {
  const chip = document.getElementById("connection");
  const words = WORDS[client.state];
  chip.dataset.state = words;
  clearInterval(timer);
  const show = () => {
    const reason = client.state === "waiting" && REASONS[client.error?.code];
    const left = client.retryAt ? Math.ceil((client.retryAt - Date.now()) / 1000) : 0;
    chip.textContent = (reason ? `${reason}, ` : "") + (left > 1 ? `${words} in ${left} s` : words);
    chip.title = client.error?.message ?? "";
  };
  show();
  if (client.state === "waiting") timer = setInterval(show, 1000);
}

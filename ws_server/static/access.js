// The API key: asked for where the server requires one, and kept in this tab until it is closed.

const KEY = "turnstream-key";
const $ = (id) => document.getElementById(id);

/** Return the key of this tab, or null where none is needed; ask for it until it is right. */
export async function unlocked() {
  for (let reason = ""; ;) {
    const key = sessionStorage.getItem(KEY);
    const refused = await refusal(key);
    if (refused === null) return key;
    if (key) reason = refused;
    sessionStorage.setItem(KEY, await asked(reason));
  }
}

/** Return why the server refuses a key; null if it does not, or can't be asked now. */
async function refusal(key) {
  try {
    const headers = key ? { authorization: `Bearer ${key}` } : {};
    const answer = await fetch("v1/models", { headers, cache: "no-store" });
    return answer.status === 401 ? (await answer.json()).error.message : null;
  } catch {
    return null;
  }
}

function asked(reason) {
  $("connection").dataset.state = "locked";
  $("connection").textContent = "key needed";
  $("locked-reason").textContent = reason;
  $("key").value = "";
  $("locked").showModal();
  return new Promise((resolve) => {
    $("locked").onclose = () => ($("key").value ? resolve($("key").value) : $("locked").showModal());
  });
}

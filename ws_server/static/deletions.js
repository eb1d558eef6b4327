// Deletes the server's copies of what was deleted here, as soon as there is a connection.

/** Delete what is still to be deleted. What fails is tried at the next connection. */
export async function deleteOnServer(client, store) {
  for (const id of await store.deletions()) {
    if (await isDeleted(client, id)) await store.deletion(id, { done: true });
  }
}

async function isDeleted(client, id) {
  try {
    await client.http(`responses/${id}`, { method: "DELETE" });
    return true;
  } catch (error) {
    if (error.code === "response_running") return stopped(client, id);
    return error.status === 404;
  }
}

/** Delete a response that had not ended: the reply to a cancel comes when it has. */
async function stopped(client, id) {
  try {
    await client.http(`responses/${id}/cancel`, { method: "POST" });
  } catch (error) {
    // It has just ended otherwise.
    if (error.code !== "response_not_active") return false;
  }
  return client.http(`responses/${id}`, { method: "DELETE" }).then(
    () => true,
    () => false,
  );
}

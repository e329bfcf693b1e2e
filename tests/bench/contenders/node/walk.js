// A drive's pages by what Node has itself: fetch and JSON.parse. The next page is asked for before this one is worked through.
//
// node walk.js TASK. TASK is JSON, see rows/task.rs.
"use strict";

const task = JSON.parse(process.argv[2]);

async function main() {
  const seen = new Uint8Array(task.to.nowhere.count);
  let [count, wrong] = [0, 0];
  const ask = async (url) => {
    const answer = await fetch(url, { headers: { authorization: "Bearer EwB4A8l6BAAUopaque.access.token" } });
    if (!answer.ok) throw new Error(`${answer.status}`);
    return JSON.parse(await answer.text());
  };
  let coming = ask(`${task.origin}/v1.0/me/drive/root/delta`);
  while (coming) {
    const page = await coming;
    const next = page["@odata.nextLink"];
    coming = next && ask(next);
    for (const { id } of page.value) {
      const number = Number(id.slice(-8));
      if (seen[number] === 0) seen[number] = 1;
      else wrong += 1;
      count += 1;
    }
  }
  const complete = wrong === 0 && count === seen.length;
  console.log(complete ? "complete" : `${count} came, ${wrong} of them wrong`);
}

// Until it is ended: what it took is looked at.
setInterval(() => {}, 1 << 30);
process.on("SIGTERM", () => process.exit(0));
process.on("unhandledRejection", (error) => {
  console.error(error);
  process.exit(1);
});
main();

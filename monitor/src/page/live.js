// Reads the page again when something on it changed, and puts in what differs. Without this script the page reloads itself.
(() => {
  const state = document.getElementById("live");
  const say = (word, live) => { state.textContent = word; state.className = live ? "live" : "lost"; };
  let timer = 0, busy = false, again = false;
  const refresh = async () => {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      if (answer.redirected) { location.reload(); return; }
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("main");
      const main = document.getElementById("main");
      const ids = (root) => [...root.querySelectorAll("[data-cell]")].map((cell) => cell.dataset.cell);
      if (!fresh) return;
      const same = ids(main).join() === ids(fresh).join();
      if (same && ids(main).length) {
        for (const cell of fresh.querySelectorAll("[data-cell]")) {
          const old = main.querySelector(`[data-cell="${CSS.escape(cell.dataset.cell)}"]`);
          if (old.outerHTML !== cell.outerHTML) old.replaceWith(document.adoptNode(cell));
        }
      } else if (main.innerHTML !== fresh.innerHTML) {
        main.replaceWith(document.adoptNode(fresh));
      }
    } catch { /* the stream says when the server is back */ } finally {
      busy = false;
      if (again) { again = false; soon(); }
    }
  };
  const soon = () => { clearTimeout(timer); timer = setTimeout(refresh, 250); };
  const stream = new EventSource(document.currentScript.dataset.live);
  stream.onopen = () => { say("live", true); soon(); };
  stream.onerror = () => say("not live, trying again", false);
  stream.addEventListener("changed", soon);
  stream.addEventListener("lagged", soon);
  setInterval(() => { if (!document.hidden) refresh(); }, 30000);
})();

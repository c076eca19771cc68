"use strict";
// Plays the entries of the page at the times of the log. Without it the page shows everything, at once.
(() => {
  const LONGEST_GAP = 2; // seconds of the log; a longer silence is cut to this
  const entries = [...document.querySelectorAll("#log > li")];
  const at = (id) => document.getElementById(id);
  const player = at("player"), play = at("play"), place = at("place"), time = at("time");
  const speed = at("speed"), times = at("times"), level = at("level");

  // When each entry comes, with the silences cut.
  const due = [];
  let before = 0, total = 0;
  for (const entry of entries) {
    const seconds = Number(entry.dataset.at);
    total += due.length ? Math.min(Math.max(0, seconds - before), LONGEST_GAP) : 0;
    before = seconds;
    due.push(total);
  }

  let now = total, shown = entries.length, last = 0, playing = false;

  const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
  const factor = () => 2 ** Number(speed.value);

  function countAt(moment) {
    let low = 0, high = due.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (due[middle] <= moment) low = middle + 1; else high = middle;
    }
    return low;
  }

  function show(moment, follow) {
    now = Math.min(Math.max(0, moment), total);
    const count = countAt(now);
    for (; shown < count; shown++) entries[shown].hidden = false;
    for (; shown > count; shown--) entries[shown - 1].hidden = true;
    place.value = total ? String(Math.round((now / total) * 1000)) : "1000";
    time.value = `${clock(now)} of ${clock(total)}`;
    if (follow && shown) entries[shown - 1].scrollIntoView({ block: "end" });
  }

  function setPlaying(wanted) {
    playing = wanted;
    play.textContent = playing ? "Pause" : "Play";
    play.setAttribute("aria-pressed", String(playing));
    if (playing) {
      if (now >= total) show(0, true);
      last = performance.now();
      requestAnimationFrame(tick);
    }
  }

  function tick(moment) {
    if (!playing) return;
    const count = shown;
    show(now + (Math.max(0, moment - last) / 1000) * factor(), false);
    last = moment;
    if (shown !== count) entries[shown - 1].scrollIntoView({ block: "end" });
    if (now >= total) setPlaying(false); else requestAnimationFrame(tick);
  }

  function setLevel(name) {
    document.body.dataset.level = name;
    level.querySelector(`[value="${name}"]`).checked = true;
  }

  // A link to an entry shows it, whatever is being played and however little is told.
  function goToEntry() {
    const entry = /^#e\d+$/.test(location.hash) ? at(location.hash.slice(1)) : null;
    if (!entry) return;
    setPlaying(false);
    if (entry.hidden) show(due[entries.indexOf(entry)], false);
    if (getComputedStyle(entry).display === "none") setLevel("full");
    entry.scrollIntoView();
  }

  play.addEventListener("click", () => setPlaying(!playing));
  place.addEventListener("input", () => { setPlaying(false); show((Number(place.value) / 1000) * total, true); });
  speed.addEventListener("input", () => { times.value = `${factor()}×`; });
  level.addEventListener("change", (change) => setLevel(change.target.value));
  addEventListener("hashchange", goToEntry);
  player.addEventListener("submit", (submit) => submit.preventDefault());

  player.hidden = false;
  setLevel("concise");
  show(total, false);
  goToEntry();
})();

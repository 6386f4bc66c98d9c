// What the pages do besides being pages: counts and charts that come live, relative times that stay true,
// ticking many boxes at once. Without it everything works; pages with figures then reload by themselves.
(() => {
  "use strict";

  // Relative times --------------------------------------------------------------------------------------

  const UNITS = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]];

  const span = (seconds) => {
    const parts = [];
    let left = Math.round(seconds);
    for (const [size, unit] of UNITS) {
      if (left >= size && parts.length < 2) {
        parts.push(`${Math.floor(left / size)} ${unit}`);
        left %= size;
      } else if (parts.length) {
        break;
      }
    }
    return parts.join(" ") || "0 s";
  };

  const relative = (seconds) => {
    const far = Math.abs(seconds);
    if (far < 1) return "now";
    const said = span(far).split(" ").slice(0, 2).join(" ");
    return seconds > 0 ? `${said} ago` : `in ${said}`;
  };

  const refreshTimes = () => {
    for (const time of document.querySelectorAll("time[datetime]")) {
      const said = relative((Date.now() - Date.parse(time.dateTime)) / 1000);
      if (time.textContent !== said) time.textContent = said;
    }
  };

  // Live regions ----------------------------------------------------------------------------------------

  const state = document.querySelector("[data-state]");
  const page = document.body.dataset.live;

  const show = (text, tone) => {
    if (!state) return;
    state.hidden = false;
    state.textContent = text;
    state.dataset.tone = tone;
  };

  const put = (name, html) => {
    const region = document.querySelector(`[data-region="${name}"]`);
    // Whoever is in it with the keyboard, or has opened something there, keeps what they see.
    if (!region || region.contains(document.activeElement)) return;
    if (region.dataset.html === html) return;
    region.innerHTML = html;
  };

  let failures = 0;

  const follow = () => {
    const source = new EventSource(`/console/live?page=${encodeURIComponent(page)}`);
    source.addEventListener("snapshot", (event) => {
      failures = 0;
      show("Live", "good");
      const regions = JSON.parse(event.data);
      for (const name of Object.keys(regions)) put(name, regions[name]);
      refreshTimes();
    });
    source.addEventListener("bye", (event) => {
      source.close();
      if (event.data === "session") {
        location.reload();
      } else {
        show("Reconnecting", "warn");
        setTimeout(follow, 1000 + Math.random() * 4000);
      }
    });
    source.onerror = () => {
      show(navigator.onLine ? "Reconnecting" : "Offline", "warn");
      if (source.readyState !== EventSource.CLOSED) return;
      // Refused: full, or gone. Ask again later, and less and less often.
      failures += 1;
      setTimeout(follow, Math.min(60, 5 * failures) * 1000);
    };
    addEventListener("pagehide", () => source.close(), { once: true });
  };

  // Ticking all ----------------------------------------------------------------------------------------

  const tickable = (form) => [...form.querySelectorAll("input[type=checkbox][name=id]")];

  const say = (form) => {
    const ticked = tickable(form).filter((box) => box.checked).length;
    const told = form.querySelector("[data-ticked]");
    if (told) told.textContent = ticked ? `${ticked} ticked` : told.dataset.ticked;
  };

  document.addEventListener("change", (event) => {
    const form = event.target.form;
    if (!form) return;
    if (event.target.matches("[data-tick-all]")) {
      for (const box of tickable(form)) box.checked = event.target.checked;
    }
    if (event.target.matches("input[type=checkbox]")) say(form);
    if (event.target.matches("[data-submits]")) form.requestSubmit();
  });

  // Menus close by Escape and by a click elsewhere -------------------------------------------------------

  const menus = () => document.querySelectorAll("details.who[open], details.nav-fold[open]");

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of menus()) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });

  document.addEventListener("click", (event) => {
    for (const menu of menus()) if (!menu.contains(event.target)) menu.open = false;
  });

  // A form is sent once: a second click while the first is on its way does nothing.
  document.addEventListener("submit", (event) => {
    if (event.target.dataset.sent) event.preventDefault();
    else if (event.target.method === "post") event.target.dataset.sent = "1";
  });
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });

  for (const box of document.querySelectorAll("[data-tick-all]")) box.hidden = false;
  setInterval(refreshTimes, 5000);
  if (page && window.EventSource) follow();
})();

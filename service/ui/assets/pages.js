// What the pages do without asking the server: copying, and remembering language and dark mode.
(() => {
  const remember = (name, value) => {
    document.cookie = `${name}=${value}; path=/; max-age=31536000; samesite=strict`;
  };

  const copy = async (text) => {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const area = Object.assign(document.createElement("textarea"), { value: text }); // no clipboard without TLS
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  };

  const say = (text) => {
    const line = document.getElementById("said");
    if (line) line.textContent = text;
  };

  document.addEventListener("click", async (event) => {
    const target = event.target.closest("[data-copy], [data-language], [data-dark]");
    if (!target) return;
    if (target.dataset.copy !== undefined) {
      await copy(target.dataset.copy);
      say(target.dataset.copied);
      target.classList.add("copied");
      setTimeout(() => target.classList.remove("copied"), 1500);
    } else if (target.dataset.language !== undefined) {
      remember("peregrine_language", target.dataset.language);
      location.reload();
    } else {
      Quasar.Dark.toggle();
      remember("peregrine_dark", Quasar.Dark.isActive ? "1" : "0");
    }
  });

  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select, [contenteditable]");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const search = document.querySelector("input[data-search], [data-search] input");
    if (search) {
      event.preventDefault();
      search.focus();
    }
  });
})();

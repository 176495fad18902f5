// Transcripts: sorted, filtered and drawn from codes of edits; only the rows of one page are in the document.
// All text is set as text, never as markup. page/transcripts.py says what the codes mean.
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("transcripts-data").textContent);
  const find = (id) => document.getElementById(id);
  const body = find("lines").tBodies[0];
  const SIZE = 40;
  const state = { test: 0, a: 0, b: 0, key: "gain", down: true, page: 0, shown: [], now: 0 };
  let sounds = null;

  const clip = (line) => {
    sounds ??= JSON.parse(find("clips-data").textContent);
    return sounds[`${state.test}:${line}`];
  };
  const element = (name, text, kind) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };

  function errors(code) {
    if (code[0] === "!") return parseInt(code.slice(1), 10);
    let count = 0;
    for (const part of code.split(" ")) {
      if (part[0] === "~" || part[0] === "+") count += 1;
      else if (part[0] === "-") count += Number(part.slice(1)) || 1;
    }
    return count;
  }

  // The steps of a code: [kind, words of the hypothesis or of what is missing, word that was said].
  function* steps(reference, code) {
    let place = 0;
    for (const part of code.split(" ")) {
      if (!part || part[0] === "!") continue;
      if (part[0] === "+") yield ["insert", part.slice(1), ""];
      else if (part[0] === "~") yield ["substitute", part.slice(1), reference[place++]];
      else {
        const left = part[0] === "-";
        const count = left ? parseInt(part.slice(1), 10) || 1 : parseInt(part, 10);
        for (const end = place + count; place < end; place += 1) yield [left ? "delete" : "equal", reference[place], ""];
      }
    }
  }

  const latin = /^[\p{Script=Latin}\p{N}']/u;
  const gap = (test, one, other) => (!test.tight || (latin.test(one) && latin.test(other)) ? " " : "");

  function joined(test, words) {
    let text = "";
    words.forEach((word, place) => { text += (place ? gap(test, words[place - 1], word) : "") + word; });
    return text;
  }

  const words = (line) => (line[3] ? line[3].split(" ") : []);

  function haystack(test, number) {
    test.texts ??= [];
    if (test.texts[number] === undefined) {
      const line = test.lines[number];
      const reference = words(line);
      const heard = line.slice(4).map((code) =>
        joined(test, [...steps(reference, code)].filter(([kind]) => kind !== "delete").map(([, word]) => word)));
      test.texts[number] = [joined(test, reference), ...heard, line[2]].join("\n").toLowerCase();
    }
    return test.texts[number];
  }

  function counted(test) {
    test.counts ??= test.systems.map((_, place) => Int32Array.from(test.lines, (line) => errors(line[4 + place])));
    return test.counts;
  }

  function chosen(test) {
    const needle = find("search").value.trim().toLowerCase().replace(/\s+/g, " ");
    const term = find("term").value;
    const speaker = find("speaker").value;
    const show = find("show").value;
    const [a, b] = [counted(test)[state.a], counted(test)[state.b]];
    const sounding = new Set(test.sounding);
    const held = ` ${term} `;
    const passes = {
      all: () => true, changed: (n) => a[n] !== b[n], better: (n) => b[n] < a[n], worse: (n) => b[n] > a[n],
      wrong: (n) => b[n] > 0, sound: (n) => sounding.has(n),
    }[show];
    const found = [];
    test.lines.forEach((line, number) => {
      if (speaker !== "" && line[0] !== Number(speaker)) return;
      if (!passes(number)) return;
      if (term && !` ${line[3]} `.includes(held)) return;
      if (needle && !haystack(test, number).includes(needle)) return;
      found.push(number);
    });
    return found;
  }

  function sort(test, numbers) {
    const [a, b] = [counted(test)[state.a], counted(test)[state.b]];
    const value = {
      order: (n) => n, a: (n) => a[n], b: (n) => b[n], gain: (n) => a[n] - b[n], seconds: (n) => test.lines[n][1],
    }[state.key];
    const sign = state.down ? -1 : 1;
    return numbers.sort((one, other) => sign * (value(one) - value(other)) || one - other);
  }

  // Numbers of the reference's words that a filter asked for.
  function hits(test, reference) {
    const wanted = find("term").value || find("search").value.trim().toLowerCase().replace(/\s+/g, " ");
    const marked = new Set();
    if (!wanted) return marked;
    const plain = find("term").value ? joined(test, wanted.split(" ")) : wanted;
    let text = "";
    const starts = reference.map((word, place) => {
      text += place ? gap(test, reference[place - 1], word) : "";
      const start = text.length;
      text += word;
      return start;
    });
    for (let at = text.indexOf(plain); at >= 0; at = text.indexOf(plain, at + 1)) {
      starts.forEach((start, place) => {
        if (start < at + plain.length && start + reference[place].length > at) marked.add(place);
      });
    }
    return marked;
  }

  function paintReference(cell, test, reference) {
    const marked = test.transcribed ? hits(test, reference) : new Set();
    reference.forEach((word, place) => {
      if (place) cell.append(gap(test, reference[place - 1], word));
      cell.append(marked.has(place) ? element("span", word, "hit") : word);
    });
  }

  function paint(cell, test, reference, code) {
    let last = null;
    for (const [kind, word, said] of steps(reference, code)) {
      if (last !== null) cell.append(gap(test, last, word));
      last = word;
      if (kind === "equal" || !test.transcribed) { cell.append(word); continue; }
      const piece = element({ substitute: "mark", delete: "del", insert: "ins" }[kind], word, kind === "substitute" ? "sub" : "");
      piece.title = { substitute: `instead of: ${said}`, delete: "left out", insert: "one too many" }[kind];
      cell.append(piece);
      if (kind === "substitute") cell.append(element("span", ` (for ${said})`, "hidden"));
    }
    if (last === null) cell.append(element("span", "nothing", "soft small"));
  }

  function cell(row, kind, label) {
    const made = element("td", undefined, kind);
    made.dataset.label = label;
    made.setAttribute("role", "cell");
    row.append(made);
    return made;
  }

  function drawn(test, number, first) {
    const line = test.lines[number];
    const reference = words(line);
    const [a, b] = [counted(test)[state.a][number], counted(test)[state.b][number]];
    const names = [test.systems[state.a][1], test.systems[state.b][1]];
    const row = element("tr");
    row.tabIndex = first ? 0 : -1;
    row.dataset.line = number;
    row.setAttribute("role", "row");
    const who = cell(row, "who", "Utterance");
    if (test.sounding.includes(number)) {
      const button = element("button", "▶ Play", "play");
      button.type = "button";
      button.tabIndex = -1;
      button.setAttribute("aria-label", `Play utterance ${line[2]}`);
      who.append(button);
    }
    const named = (text) => { const made = element("span", text); made.dir = "auto"; return made; };
    who.append(named(`${line[2]}, ${line[1].toFixed(1)} s`), named(test.speakers[line[0]] || "unknown speaker"));
    for (const [label, code] of [["Reference", null], [names[0], line[4 + state.a]], [names[1], line[4 + state.b]]]) {
      const made = cell(row, "text", label);
      made.dir = "auto";
      if (data.language) made.lang = data.language;
      if (code === null) paintReference(made, test, reference);
      else paint(made, test, reference, code);
    }
    cell(row, "few", names[0]).textContent = a;
    cell(row, "few", names[1]).textContent = b;
    const gain = a - b;
    const last = cell(row, `few last gain ${gain > 0 ? "up" : gain < 0 ? "down" : ""}`, "Gain");
    last.textContent = gain > 0 ? `+${gain}` : gain < 0 ? `−${-gain}` : "0";
    return row;
  }

  function draw(announce = true) {
    const test = data.tests[state.test];
    const pages = Math.max(1, Math.ceil(state.shown.length / SIZE));
    state.page = Math.min(Math.max(0, state.page), pages - 1);
    const part = state.shown.slice(state.page * SIZE, (state.page + 1) * SIZE);
    body.replaceChildren(...part.map((number, place) => drawn(test, number, place === 0)));
    stop();
    const sum = (place) => state.shown.reduce((total, number) => total + counted(test)[place][number], 0);
    const what = test.transcribed ? "errors" : "keywords missed";
    const text = `${state.shown.length.toLocaleString("en")} of ${test.lines.length.toLocaleString("en")} utterances; ` +
      `${what}: ${test.systems[state.a][1]} ${sum(state.a).toLocaleString("en")}, ${test.systems[state.b][1]} ${sum(state.b).toLocaleString("en")}`;
    if (announce) find("count").textContent = text;
    find("page").textContent = `page ${state.page + 1} of ${pages}`;
    find("first").disabled = find("back").disabled = state.page === 0;
    find("next").disabled = find("last").disabled = state.page === pages - 1;
    for (const head of document.querySelectorAll("#lines th[data-key]")) {
      if (head.dataset.key === state.key) head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
  }

  function update() {
    const test = data.tests[state.test];
    state.shown = sort(test, chosen(test));
    state.page = 0;
    draw();
  }

  function names() {
    const test = data.tests[state.test];
    const [one, other] = [test.systems[state.a][1], test.systems[state.b][1]];
    find("head-a").textContent = one;
    find("head-b").textContent = other;
    const what = test.transcribed ? "Errors" : "Missed";
    for (const [key, name] of [["a", one], ["b", other]]) {
      const button = document.querySelector(`#lines th[data-key="${key}"] button`);
      button.textContent = `${what} ${name.split(" ")[0]}`;
      button.setAttribute("aria-label", `${what} of ${name}`);
    }
  }

  function options(select, pairs, value) {
    select.replaceChildren(...pairs.map(([key, text]) => {
      const made = element("option", text);
      made.value = key;
      return made;
    }));
    if (value !== undefined) select.value = value;
  }

  function open(number) {
    state.test = number;
    const test = data.tests[number];
    const place = (name, otherwise) => {
      const found = test.systems.findIndex(([key]) => key === name);
      return found >= 0 ? found : otherwise;
    };
    state.a = place(data.baseline, 0);
    state.b = place(data.product, test.systems.length - 1);
    const pairs = test.systems.map(([, title], at) => [at, title]);
    options(find("a"), pairs, state.a);
    options(find("b"), pairs, state.b);
    options(find("speaker"), [["", `all ${test.speakers.length}`], ...test.speakers.map((name, at) => [at, name || "unknown"])]);
    const held = test.lines.map((line) => ` ${line[3]} `).join("\n");
    const terms = data.terms.filter((term) => held.includes(` ${term} `));
    options(find("term"), [["", "any"], ...terms.map((term) => [term, joined(test, term.split(" "))])]);
    find("term").parentElement.hidden = terms.length === 0;
    find("speaker").parentElement.hidden = test.speakers.length < 2;
    find("kept").hidden = test.lines.length === test.total;
    find("kept").textContent = `The page holds ${test.lines.length.toLocaleString("en")} of ${test.total.toLocaleString("en")} ` +
      "utterances: those in which most changed. All are in hypotheses/ of the run.";
    names();
    update();
  }

  const player = find("player");
  function stop() {
    player.pause();
    for (const button of body.querySelectorAll(".play.on")) {
      button.classList.remove("on");
      button.textContent = "▶ Play";
    }
  }

  function play(row) {
    const button = row.querySelector(".play");
    if (!button) return;
    const again = button.classList.contains("on");
    stop();
    if (again) return;
    player.src = clip(Number(row.dataset.line));
    button.classList.add("on");
    button.textContent = "■ Stop";
    player.play().catch(() => { stop(); button.textContent = "cannot play"; });
  }
  player.addEventListener("ended", stop);

  function focus(row) {
    if (!row) return;
    for (const other of body.rows) other.tabIndex = -1;
    row.tabIndex = 0;
    row.focus();
  }

  body.addEventListener("click", (event) => {
    if (event.target.closest(".play")) play(event.target.closest("tr"));
  });
  body.addEventListener("keydown", (event) => {
    const row = event.target.closest("tr");
    const go = {
      ArrowDown: () => focus(row.nextElementSibling), ArrowUp: () => focus(row.previousElementSibling),
      Home: () => focus(body.rows[0]), End: () => focus(body.rows[body.rows.length - 1]),
      " ": () => play(row), Enter: () => play(row),
    }[event.key];
    if (!go || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    go();
  });
  for (const head of document.querySelectorAll("#lines th[data-key]")) {
    head.querySelector("button").addEventListener("click", () => {
      state.down = state.key === head.dataset.key ? !state.down : head.dataset.key !== "order";
      state.key = head.dataset.key;
      update();
    });
  }
  find("test").addEventListener("change", () => open(Number(find("test").value)));
  for (const id of ["a", "b"]) {
    find(id).addEventListener("change", () => { state[id] = Number(find(id).value); names(); update(); });
  }
  for (const id of ["speaker", "term", "show"]) find(id).addEventListener("change", update);
  let waiting = 0;
  find("search").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(update, 120); });
  const turn = { first: () => 0, back: () => state.page - 1, next: () => state.page + 1, last: () => Infinity };
  for (const [id, page] of Object.entries(turn)) {
    find(id).addEventListener("click", () => { state.page = page(); draw(false); find("lines").scrollIntoView({ block: "nearest" }); });
  }
  for (const button of document.querySelectorAll("button[data-term]")) {
    button.addEventListener("click", () => {
      find("term").value = button.dataset.term;
      if (find("term").value !== button.dataset.term) return;
      update();
      find("transcripts").scrollIntoView();
      find("term").focus({ preventScroll: true });
    });
  }
  options(find("test"), data.tests.map((test, at) => [at, test.name]));
  open(0);
})();

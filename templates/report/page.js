// The page: state, filters, the window of drawn rows, links to one finding.

const PAGE = 200;
const byId = (id) => document.getElementById(id);
const { kinds, accounts, findings } = decode(JSON.parse(byId("findings-data").textContent));
byId("findings-data").remove(); // the text is as large as all findings together

const fields = {
  search: byId("search"),
  severity: byId("filter-severity"),
  status: byId("filter-status"),
  rule: byId("filter-rule"),
  account: byId("filter-account"),
};
const view = { ordered: findings, matched: findings, start: 0, end: 0, column: null, direction: "ascending" };
const drawn = new Map(); // the finding of each drawn row

function filters() {
  return Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, field.value]));
}

function fillSelect(select, all, options) {
  select.append(element("option", { value: "" }, all));
  for (const [value, label] of options) {
    const option = element("option", {}, label);
    option.value = value;
    select.append(option);
  }
}

function fillFilters() {
  const present = (values, names) => names.filter((name) => values.has(name)).map((name) => [name, capitalize(name)]);
  const rules = [...new Set(kinds.map((kind) => kind.rule))].sort();
  const named = accounts.map(({ id, name }) => [id, name ? `${name} (${id})` : id]);
  named.sort((a, b) => a[1].localeCompare(b[1]));
  fillSelect(fields.severity, "Any severity", present(new Set(kinds.map((kind) => kind.severity)), SEVERITIES));
  fillSelect(fields.status, "Any status", present(new Set(findings.map((one) => one.status)), STATUSES));
  fillSelect(fields.rule, "Any rule", rules.map((rule) => [rule, rule]));
  fillSelect(fields.account, "Any account", named);
}

function say(text) {
  byId("findings-count").textContent = text;
}

function sayCount() {
  const [some, all] = [view.matched.length, findings.length].map((n) => n.toLocaleString("en"));
  if (all === "0") say("There are no findings.");
  else say(some === all ? `All ${all} findings` : `${some} of ${all} findings`);
}

function rowsOf(from, to) {
  const rows = document.createDocumentFragment();
  for (const finding of view.matched.slice(from, to)) {
    const made = row(finding);
    drawn.set(made, finding);
    rows.append(made);
  }
  return rows;
}

function showWindow() {
  const { start, end } = view;
  const left = view.matched.length - end;
  const windowed = start > 0 || left > 0;
  byId("findings-window").textContent = windowed
    ? `Rows ${(start + 1).toLocaleString("en")} to ${end.toLocaleString("en")}` : "";
  byId("show-earlier").hidden = start === 0;
  byId("show-earlier").textContent = `Show ${Math.min(PAGE, start)} earlier`;
  byId("show-more").hidden = left <= 0;
  byId("show-more").textContent = `Show ${Math.min(PAGE, left)} more`;
}

/** Draw the page of rows that holds row number `at`, and only that. */
function draw(at = 0) {
  view.start = Math.floor(at / PAGE) * PAGE;
  view.end = Math.min(view.start + PAGE, view.matched.length);
  drawn.clear();
  byId("findings-body").replaceChildren(rowsOf(view.start, view.end));
  showWindow();
}

function showMore() {
  const from = view.end;
  view.end = Math.min(from + PAGE, view.matched.length);
  const more = rowsOf(from, view.end);
  const first = more.firstElementChild;
  byId("findings-body").append(more);
  showWindow();
  first.querySelector(".toggle").focus();
}

function showEarlier() {
  const to = view.start;
  view.start = Math.max(to - PAGE, 0);
  byId("findings-body").prepend(rowsOf(view.start, to));
  showWindow();
  byId("findings-body").querySelector(".toggle").focus();
}

function filter() {
  view.matched = matching(view.ordered, filters());
  draw();
  sayCount();
}

function order(column, direction) {
  view.column = column;
  view.direction = direction;
  // Equal ones stay by status and then severity, whatever was sorted by before.
  view.ordered = sorted(base, column, direction);
  for (const header of byId("findings-head").children) {
    if (header.dataset.column === column.name) header.setAttribute("aria-sort", direction);
    else header.removeAttribute("aria-sort");
  }
}

function sortBy(column) {
  const again = view.column === column && view.direction === "ascending";
  order(column, again ? "descending" : "ascending");
  filter();
}

function setToggle(made, open) {
  const button = made.querySelector(".toggle");
  const isOpen = button.getAttribute("aria-expanded") === "true";
  if (open === isOpen) return;
  const finding = drawn.get(made);
  button.setAttribute("aria-expanded", String(open));
  if (open) {
    made.after(detailRow(finding));
    button.setAttribute("aria-controls", `d-${finding.id}`);
  } else {
    made.nextElementSibling.remove();
    button.removeAttribute("aria-controls");
  }
}

function onRowClick(event) {
  const made = event.target.closest("tr.finding");
  if (made === null) return;
  const button = event.target.closest(".toggle");
  if (button === null && !document.getSelection().isCollapsed) return; // selecting text is not a click
  setToggle(made, made.querySelector(".toggle").getAttribute("aria-expanded") !== "true");
}

function setFilters(values) {
  for (const [name, field] of Object.entries(fields)) field.value = values[name] ?? "";
}

/** Show the finding that the address names, whatever the filters hide now. */
function reveal() {
  if (!location.hash.startsWith("#f-")) return;
  const id = location.hash.slice(3);
  const finding = findings.find((one) => one.id === id);
  if (finding === undefined) {
    say("No finding of this report has the id in the address.");
    return;
  }
  if (!view.matched.includes(finding)) {
    setFilters({});
    filter();
  }
  const at = view.matched.indexOf(finding);
  if (at < view.start || at >= view.end) draw(at);
  const made = byId(`f-${id}`);
  for (const before of drawn.keys()) before.classList.remove("finding--revealed");
  made.classList.add("finding--revealed");
  setToggle(made, true);
  made.scrollIntoView({ block: "center" });
  made.querySelector(".toggle").focus({ preventScroll: true });
}

function onLink(event) {
  const link = event.target.closest("a[data-severity], a[data-status], a[data-account]");
  if (link === null) return;
  setFilters(link.dataset);
  filter();
}

function filterAccounts() {
  const wanted = byId("search-accounts").value.toLowerCase();
  for (const made of byId("accounts-table").tBodies[0].rows) {
    made.hidden = !made.textContent.toLowerCase().includes(wanted);
  }
}

const [bySeverity, byStatus] = COLUMNS;
const base = sorted(sorted(findings, bySeverity, "ascending"), byStatus, "ascending");

function start() {
  let waiting = 0;
  const form = document.querySelector("form.filters");
  byId("findings-head").append(...COLUMNS.map((column) => headerCell(column, sortBy)));
  fillFilters();
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter)); // the fields are empty only after the event
  for (const name of ["severity", "status", "rule", "account"]) fields[name].addEventListener("change", filter);
  fields.search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(filter, 100);
  });
  byId("findings-body").addEventListener("click", onRowClick);
  byId("show-more").addEventListener("click", showMore);
  byId("show-earlier").addEventListener("click", showEarlier);
  byId("search-accounts").addEventListener("input", filterAccounts);
  document.addEventListener("click", onLink);
  window.addEventListener("hashchange", reveal);
  byId("accounts-filter").hidden = false;
  byId("findings-app").hidden = false;
  order(byStatus, "ascending");
  filter();
  // While it loads, the browser follows the address itself, and would take the focus away.
  window.addEventListener("load", () => setTimeout(reveal));
}

start();

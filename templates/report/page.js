// The page: what is chosen, what is shown, and what leads there.

const byId = (id) => document.getElementById(id);
const { kinds, accounts, findings } = decode(JSON.parse(byId("findings-data").textContent));
byId("findings-data").remove(); // the text is as large as all findings together

const BY_STATUS = COLUMNS[1];
const fields = Object.fromEntries(
  ["search", ...Object.keys(FACETS)].map((name) => [name, byId(name === "search" ? name : `filter-${name}`)]));
const chosen = { group: byId("group"), column: null, direction: "ascending", finding: null, revealed: null, closed: new Set() };
const base = gravest(findings);
let ordered = base;
let groups = [];
let matched = base.length;

const list = new List({
  scroller: byId("findings-scroller"),
  body: byId("findings-body"),
  table: byId("findings-table"),
  make: rowOf,
});

function rowOf(item) {
  if ("findings" in item) return groupRow(item, !chosen.closed.has(item.value));
  const row = findingRow(item);
  row.classList.toggle("finding--revealed", item === chosen.revealed);
  return row;
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
  const names = (of) => [...new Set(of)].sort((a, b) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1)).map((name) => [name, name]);
  const present = (of, order) => order.filter((name) => of.has(name)).map((name) => [name, capitalize(name)]);
  const named = accounts.map(({ id, name }) => [id, name ? `${name} (${id})` : id]);
  named.sort((a, b) => a[1].localeCompare(b[1]));
  fillSelect(fields.severity, "Any severity", present(new Set(kinds.map((kind) => kind.severity)), SEVERITIES));
  fillSelect(fields.status, "Any status", present(new Set(findings.map((one) => one.status)), STATUSES));
  fillSelect(fields.rule, "Any rule", names(kinds.map((kind) => kind.rule)));
  fillSelect(fields.account, "Any account", named);
  fillSelect(fields.ou, "Any unit", names(accounts.map((one) => one.ou || NO_OU)));
  fillSelect(fields.owner, "Any owner", names(findings.map(FACETS.owner)));
  fillSelect(chosen.group, "Nothing", Object.entries(GROUPS).map(([name, { label }]) => [name, label]));
}

/** Return what is chosen, in the words of the address. */
function currentView() {
  return {
    ...Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, field.value])),
    group: chosen.group.value,
    sort: chosen.column?.name ?? "",
    order: chosen.direction === "descending" ? "descending" : "",
    finding: chosen.finding?.id ?? "",
  };
}

function say() {
  const [some, all] = [matched, findings.length].map((number) => number.toLocaleString("en"));
  const told = all === "0" ? "There are no findings." : some === all ? `All ${all} findings` : `${some} of ${all} findings`;
  const inGroups = groups.length ? `, in ${groups.length.toLocaleString("en")} ${groups.length === 1 ? "group" : "groups"}` : "";
  byId("findings-count").textContent = told + inGroups;
  byId("findings-note").textContent = list.items.length < rowsWanted()
    ? `Only the first ${MOST.toLocaleString("en")} rows can be scrolled to: search or filter for the others.` : "";
}

function rowsWanted() {
  return matched + groups.length - groups.filter((one) => chosen.closed.has(one.value))
    .reduce((sum, one) => sum + one.findings.length, 0);
}

/** Show the rows of what matches, without those of closed groups. */
function showRows(found) {
  const items = groups.length === 0 ? found : [];
  for (const group of groups) {
    items.push(group);
    if (!chosen.closed.has(group.value)) for (const one of group.findings) items.push(one);
  }
  list.show(items);
  byId("group-buttons").hidden = groups.length === 0;
  say();
}

function filter() {
  const found = matching(ordered, currentView());
  matched = found.length;
  groups = chosen.group.value ? grouped(found, chosen.group.value) : [];
  showRows(found);
  keepInAddress(currentView());
}

/** Filter anew, from the top. */
function filterAgain() {
  list.scroller.scrollTop = 0;
  filter();
}

function order(column, direction) {
  chosen.column = column;
  chosen.direction = direction;
  // Equal ones stay by status and then severity, whatever was sorted by before.
  ordered = column === null ? base : sorted(base, column, direction);
  for (const header of byId("findings-head").children) {
    if (header.dataset.column === (column ?? BY_STATUS).name) header.setAttribute("aria-sort", direction);
    else header.removeAttribute("aria-sort");
  }
}

function sortBy(column) {
  const again = (chosen.column ?? BY_STATUS) === column && chosen.direction === "ascending";
  order(column, again ? "descending" : "ascending");
  filterAgain();
}

function setGroups(closed) {
  chosen.closed = closed;
  list.scroller.scrollTop = 0;
  showRows([]);
}

function turnGroup(group) {
  if (!chosen.closed.delete(group.value)) chosen.closed.add(group.value);
  showRows([]);
  list.focus(list.items.indexOf(group));
}

function turn(finding) {
  const open = !list.isOpen(finding);
  if (open) list.open(finding);
  else list.close(finding);
  chosen.finding = open ? finding : null;
  keepInAddress(currentView());
}

function onRowClick(event) {
  const row = event.target.closest("tr.finding, tr.group");
  if (row === null) return;
  const onButton = event.target.closest(".toggle") !== null;
  if (!onButton && !document.getSelection().isCollapsed) return; // selecting text is not a click
  const item = list.items[list.numberOf(row)];
  if ("findings" in item) turnGroup(item);
  else turn(item);
}

const STEPS = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity };

function onRowKey(event) {
  const row = event.target.closest(".toggle")?.closest("tr");
  if (!row || !(event.key in STEPS)) return;
  event.preventDefault();
  list.focus(list.numberOf(row) + STEPS[event.key]);
}

/** Show a finding that an address names. */
function reveal(id) {
  const finding = findings.find((one) => one.id === id);
  if (finding === undefined) {
    byId("findings-count").textContent = "No finding of this report has the id in the address.";
    return;
  }
  const group = groups.find((one) => one.findings.includes(finding));
  if (group && chosen.closed.delete(group.value)) showRows([]);
  chosen.finding = chosen.revealed = finding;
  list.redraw();
  list.open(finding);
  byId("findings-scroller").scrollIntoView({ block: "nearest" });
  const row = list.reveal(finding);
  if (row === null) return;
  keepInAddress(currentView());
  row.querySelector(".toggle").focus({ preventScroll: true });
}

/** Choose what an address names. */
function choose(view) {
  for (const [name, field] of Object.entries(fields)) {
    field.value = view[name];
    if (field.selectedIndex === -1) field.selectedIndex = 0; // a value that no finding has
  }
  chosen.group.value = view.group;
  chosen.closed.clear();
  chosen.finding = null;
  order(COLUMNS.find((column) => column.name === view.sort) ?? null, view.order === "descending" ? "descending" : "ascending");
  const hidden = view.finding && !matching(findings, currentView()).some((one) => one.id === view.finding);
  if (hidden) for (const field of Object.values(fields)) field.value = "";
  list.scroller.scrollTop = 0;
  filter();
  if (view.finding) reveal(view.finding);
}

function onAddress() {
  const view = viewOf(location.hash);
  if (view === null || addressOf(view) === addressOf(currentView())) return;
  choose(view);
}

function onLink(event) {
  const link = event.target.closest("a[data-severity], a[data-status], a[data-account]");
  if (link === null) return;
  event.preventDefault();
  location.hash = addressOf({ ...NOTHING_CHOSEN, ...link.dataset });
  byId("findings").scrollIntoView();
}

function filterAccounts() {
  const wanted = byId("search-accounts").value.toLowerCase();
  for (const made of byId("accounts-table").tBodies[0].rows) {
    made.hidden = !made.textContent.toLowerCase().includes(wanted);
  }
}

/** Open what is folded away in some sections, and return what was closed. */
function unfold() {
  const closed = [...document.querySelectorAll("details.fold:not([open])")];
  for (const one of closed) one.open = true;
  return closed;
}

function onPrint() {
  chosen.unfolded = unfold();
  const left = list.startPrinting();
  byId("findings-note").textContent = left > 0
    ? `${left.toLocaleString("en")} more rows are not printed: filter before printing, or take report.csv.` : "";
}

function afterPrint() {
  for (const one of chosen.unfolded ?? []) one.open = false;
  list.stopPrinting();
  say();
}

function listen() {
  const form = document.querySelector("form.filters");
  let waiting = 0;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => choose(NOTHING_CHOSEN))); // the fields are empty only then
  for (const name of Object.keys(FACETS)) fields[name].addEventListener("change", filterAgain);
  fields.search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(filterAgain, 50);
  });
  chosen.group.addEventListener("change", () => {
    chosen.closed.clear();
    filterAgain();
  });
  byId("collapse").addEventListener("click", () => setGroups(new Set(groups.map((one) => one.value))));
  byId("expand").addEventListener("click", () => setGroups(new Set()));
  byId("findings-body").addEventListener("click", onRowClick);
  byId("findings-body").addEventListener("keydown", onRowKey);
  byId("search-accounts").addEventListener("input", filterAccounts);
  document.addEventListener("click", onLink);
  window.addEventListener("hashchange", onAddress);
  window.addEventListener("beforeprint", onPrint);
  window.addEventListener("afterprint", afterPrint);
}

function start() {
  byId("findings-head").append(...COLUMNS.map((column) => headerCell(column, sortBy)));
  fillFilters();
  listen();
  byId("accounts-filter").hidden = false;
  byId("findings-app").hidden = false;
  const view = viewOf(location.hash);
  order(null, "ascending");
  if (view === null) {
    filter();
    return;
  }
  choose({ ...view, finding: "" });
  // While it loads, the browser follows the address itself, and would take the focus away.
  if (view.finding) window.addEventListener("load", () => setTimeout(() => choose(view)));
  else byId("findings").scrollIntoView();
}

start();

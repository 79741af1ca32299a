// Drawing rows. Text reaches the page as text nodes only: names in here are hostile.

/** Return a new element; children are nodes, or text that is already printable. */
function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function chip(word) {
  return element("span", { class: `chip chip--${word}` }, capitalize(word));
}

function stacked(main, below) {
  const lines = [element("span", { class: "name" }, main)];
  if (below) lines.push(element("span", { class: "below" }, below));
  return lines;
}

function cell(column, ...children) {
  return element("td", { class: `cell cell--${column.name}`, role: "cell", "data-label": column.label }, ...children);
}

/** Return what each column shows of a finding. */
const CELLS = {
  severity: (one) => [chip(one.kind.severity)],
  status: (one) => [chip(one.status)],
  rule: (one) => stacked(one.kind.title, one.message),
  account: (one) => (one.account.name
    ? [element("span", { class: "name" }, one.account.name), element("code", {}, one.account.id)]
    : [element("code", {}, one.account.id)]),
  user: (one) => [element("span", { class: "name" }, one.user)],
  key: (one) => [element("code", {}, one.keyName)].concat(
    one.key !== null && one.key.status !== "Active" ? [element("span", { class: "below" }, one.key.status)] : []),
  age: (one) => [one.key === null ? "—" : one.key.age === null ? "unknown" : `${one.key.age.toLocaleString("en")} d`],
  used: (one) => [one.key?.use === "unknown" ? chip("unknown") : lastUsed(one.key)],
};

function toggle() {
  return element(
    "button", { type: "button", class: "toggle", "aria-expanded": "false", "aria-label": "Show the key's facts" },
    element("span", { class: "toggle__mark", "aria-hidden": "true" }));
}

/** Return the row of a finding, its anchor included. */
function row(finding) {
  const cells = COLUMNS.map((column) => cell(column, ...CELLS[column.name](finding)));
  cells[0].prepend(toggle());
  return element("tr", { id: `f-${finding.id}`, class: `finding finding--${finding.status}`, role: "row" }, ...cells);
}

const REMEDIES = {
  none: "none proposed: a person decides",
  rotate: "rotate the key",
  deactivate: "deactivate the key",
  delete: "delete the key",
};

function lastUsedWhole(key) {
  if (key.use === "never") return "never, as far as AWS knows";
  if (key.use === "unknown") return `unknown: ${shown(key.reason) || "no reason was recorded"}`;
  return [instant(key.at), shown(key.service), shown(key.region)].filter(Boolean).join(" · ");
}

function days(number) {
  if (number === null) return "unknown";
  return `${number.toLocaleString("en")} ${number === 1 ? "day" : "days"}`;
}

function keyPairs(key) {
  if (key === null) return [["Key", "none: this is about the account, or the key was not recorded"]];
  return [
    ["Key status", key.status],
    ["Created", key.created === null ? "unknown" : instant(key.created)],
    ["Age", days(key.age)],
    ["Last used", lastUsedWhole(key)],
    ["Idle", days(key.idle)],
    ["User's class", key.userClass === null ? "unknown" : printable(key.userClass)],
  ];
}

function pairs(finding) {
  const { kind } = finding;
  return [
    ...keyPairs(finding.key),
    ["Rule", element("code", {}, kind.rule)],
    ["Remedy", REMEDIES[kind.remedy] ?? printable(kind.remedy)],
    ["Controls", kind.controls.join(", ") || "none"],
    ...(finding.exemption === null ? [] : [["Exempt because", finding.exemption]]),
    ["Link to this finding", element("a", { href: `#f-${finding.id}` }, element("code", {}, finding.id))],
  ];
}

/** Return the row below a finding's: the key's facts, the rule's remedy and controls. */
function detailRow(finding) {
  const list = element("dl", { class: "facts" });
  for (const [term, value] of pairs(finding)) {
    list.append(element("div", {}, element("dt", {}, term), element("dd", {}, value)));
  }
  const whole = element("td", { colspan: COLUMNS.length, role: "cell" }, list);
  return element("tr", { class: "detail", id: `d-${finding.id}`, role: "row" }, whole);
}

/** Return a header cell with the button that sorts by its column. */
function headerCell(column, onSort) {
  const button = element("button", { type: "button", class: "sort" }, column.label,
    element("span", { class: "sort__mark", "aria-hidden": "true" }));
  button.addEventListener("click", () => onSort(column));
  return element("th", { scope: "col", role: "columnheader", class: `cell--${column.name}`, "data-column": column.name }, button);
}

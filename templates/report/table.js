// Making rows. Text reaches the page as text nodes only: names in here are hostile.

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

function line(text, style) {
  return element("span", { class: style, title: text }, text);
}

function cell(column, ...children) {
  return element("td", { class: `cell cell--${column.name}`, role: "cell", "data-label": column.label }, ...children);
}

function accountLines({ id, name }) {
  return name ? [line(name, "name"), element("code", { class: "below" }, id)] : [element("code", {}, id)];
}

function keyLines(key) {
  const lines = [element("code", {}, key.name)];
  if (key.known && key.status !== "Active") lines.push(element("span", { class: "below" }, key.status));
  return lines;
}

function age(key) {
  if (!key.known) return "—";
  return key.age === null ? "unknown" : `${key.age.toLocaleString("en")} d`;
}

/** Return the message without the title that it begins with: that stands above it. */
function withoutTitle({ message, kind }) {
  return message.startsWith(`${kind.title}: `) ? message.slice(kind.title.length + 2) : message;
}

/** What each column shows of a finding. */
const CELLS = {
  severity: (one) => [toggle(`Details of ${one.kind.rule}, ${one.key.user}`), chip(one.kind.severity)],
  status: (one) => [chip(one.status)],
  rule: (one) => [line(one.kind.title, "name"), line(withoutTitle(one), "below")],
  account: (one) => accountLines(one.account),
  user: (one) => [line(one.key.user, "name"), line(one.key.owner || NO_OWNER, "below")],
  key: (one) => keyLines(one.key),
  age: (one) => [age(one.key)],
  used: (one) => [one.key.use === "unknown" ? chip("unknown") : lastUsed(one.key)],
};

function toggle(label) {
  return element("button", { type: "button", class: "toggle", "aria-expanded": "false", "aria-label": label },
    element("span", { class: "toggle__mark", "aria-hidden": "true" }));
}

/** Return the row of a finding. */
function findingRow(finding) {
  const cells = COLUMNS.map((column) => cell(column, ...CELLS[column.name](finding)));
  return element("tr", { id: `f-${finding.id}`, class: `finding finding--${finding.status}`, role: "row" }, ...cells);
}

/** Return the row that stands before the findings of a group. */
function groupRow(group, open) {
  const size = group.findings.length;
  const button = toggle(`${group.title}: ${size.toLocaleString("en")}`);
  button.setAttribute("aria-expanded", String(open));
  const counts = SEVERITIES.flatMap((severity, at) => (group.counts[at]
    ? [element("span", { class: `chip chip--${severity}` }, `${group.counts[at].toLocaleString("en")} ${severity}`)] : []));
  const told = size === 1 ? "1 finding" : `${size.toLocaleString("en")} findings`;
  const whole = element("td", { class: "group__cell", role: "cell", "aria-colspan": COLUMNS.length }, button,
    line(group.title, "name group__title"), element("span", { class: "group__size" }, told),
    element("span", { class: "group__counts" }, ...counts));
  return element("tr", { class: "group", role: "row" }, whole);
}

const REMEDIES = {
  none: "none proposed: a person decides",
  rotate: "rotate the key",
  deactivate: "deactivate the key",
  delete: "delete the key",
};

function lastUsedWhole(key) {
  if (key.use === "never") return "never, as far as AWS knows";
  if (key.use === "unknown") return `unknown: ${key.reason || "no reason was recorded"}`;
  return [instant(key.at), key.service, key.region].filter(Boolean).join(" · ");
}

function days(number) {
  if (number === null) return "unknown";
  return `${number.toLocaleString("en")} ${number === 1 ? "day" : "days"}`;
}

function keyPairs(key) {
  if (!key.known) return [["Key", "none: this is about the account, or the key was not recorded"]];
  return [
    ["Key status", key.status],
    ["Created", key.created === null ? "unknown" : instant(key.created)],
    ["Age", days(key.age)],
    ["Last used", lastUsedWhole(key)],
    ["Idle", days(key.idle)],
    ["User's class", key.userClass || "unknown"],
  ];
}

function pairs({ key, kind, account, exemption, id }) {
  return [
    ["User", key.user],
    ["Owner", key.owner || NO_OWNER],
    ["Account", account.name ? `${account.name} (${account.id})` : account.id],
    ["Organizational unit", account.ou || NO_OU],
    ...keyPairs(key),
    ["Rule", element("code", {}, kind.rule)],
    ["Remedy", REMEDIES[kind.remedy] ?? printable(kind.remedy)],
    ["Controls", kind.controls.join(", ") || "none"],
    ...(exemption ? [["Exempt because", exemption]] : []),
    ["Link to this finding", element("a", { href: `#finding=${id}` }, element("code", {}, id))],
  ];
}

/** Return what to do, and what is better than the key. */
function mending({ kind, key }) {
  const ways = key.ways.map(({ name, how, url }) => element("li", {},
    element("a", { href: url, rel: "noreferrer" }, name), `: ${how}`));
  const better = ways.length === 0 ? [] : [
    element("h3", {}, "Better than a long-lived key"), element("ul", { class: "ways" }, ...ways)];
  return element("div", { class: "mend" },
    element("h3", {}, "How to mend it"), element("p", {}, kind.mend), ...better);
}

/** Return the row below a finding's: what to do, and all that is known. */
function detailRow(finding) {
  const list = element("dl", { class: "facts" });
  for (const [term, value] of pairs(finding)) {
    list.append(element("div", {}, element("dt", {}, term), element("dd", {}, value)));
  }
  const whole = element("td", { class: "detail__cell", role: "cell", "aria-colspan": COLUMNS.length },
    element("p", { class: "detail__message" }, finding.message), mending(finding), list);
  return element("tr", { class: "detail", id: `d-${finding.id}`, role: "row" }, whole);
}

/** Return a header cell with the button that sorts by its column. */
function headerCell(column, onSort) {
  const button = element("button", { type: "button", class: "sort" }, column.label,
    element("span", { class: "sort__mark", "aria-hidden": "true" }));
  button.addEventListener("click", () => onSort(column));
  return element("th", { scope: "col", role: "columnheader", class: `cell--${column.name}`, "data-column": column.name, "data-label": column.label }, button);
}

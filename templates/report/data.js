// Reading the embedded findings, and choosing among them; nothing here touches the page.
// An object announces an account, a class of users, a kind or a key; a list is a finding of those.

const SEVERITIES = ["critical", "high", "medium", "low", "info"];
const STATUSES = ["open", "indeterminate", "exempt"];
const NO_OWNER = "no owner known";
const NO_OU = "no unit known";

// Controls, bidirectional marks, zero width, lone surrogates: the same set as in templates.py.
const HIDDEN = /[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\p{Cs}]/gu;

/** Return text in which nothing is invisible or changes the reading direction. */
function printable(text) {
  return text.replace(HIDDEN, (hidden) => `\\u${hidden.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function shown(text) {
  return text === null ? "" : printable(text);
}

function instant(text) {
  return text === null ? "—" : `${text.slice(0, 10)} ${text.slice(11, 19)} UTC`;
}

function capitalize(word) {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

function lower(...texts) {
  return texts.join("\n").toLowerCase();
}

function toAccount({ account: id, name, ou }) {
  const made = { id, name: shown(name), ou: shown(ou) };
  return { ...made, text: lower(id, made.name, made.ou || NO_OU) };
}

function toKind({ rule_id, title, severity, remedy, controls, mend }) {
  const made = { rule: printable(rule_id), title: printable(title), severity, remedy, controls: controls.map(printable), mend };
  return { ...made, text: lower(made.rule, made.title, severity, remedy, ...made.controls) };
}

function keyName(id, slot) {
  if (id !== null) return printable(id);
  return slot ? `key ${slot}, id not known` : "—";
}

/** Return a key; of one that was not recorded hardly more than the user and the id is known. */
function toKey(facts, ways) {
  const [user, id, slot = null, owner = null, userClass = null, status = null, created = null,
    age = null, idle = null, use = null, at = null, service = null, region = null, reason = null] = facts;
  const made = {
    known: status !== null, name: keyName(id, slot), user: printable(user), owner: shown(owner),
    userClass: shown(userClass), ways: ways.get(userClass) ?? [], status, created, age, idle, use, at,
    service: shown(service), region: shown(region), reason: shown(reason),
  };
  made.text = lower(made.name, made.user, made.owner || NO_OWNER, made.userClass, status, use, made.service, made.region, made.reason);
  return made;
}

/** Return the findings, and the kinds, keys and accounts that they refer to. */
function decode(entries) {
  const kinds = [];
  const accounts = [];
  const findings = [];
  const ways = new Map();
  let key = null;
  for (const entry of entries) {
    if (Array.isArray(entry)) {
      const [kind, id, status, message, exemption] = entry;
      const finding = {
        id, status, key, kind: kinds[kind], account: accounts[accounts.length - 1],
        message: printable(message), exemption: shown(exemption),
      };
      finding.text = lower(finding.message, status, finding.exemption, id);
      findings.push(finding);
    } else if ("key" in entry) key = toKey(entry.key, ways);
    else if ("account" in entry) accounts.push(toAccount(entry));
    else if ("class" in entry) ways.set(entry.class, entry.ways);
    else kinds[entry.kind] = toKind(entry);
  }
  return { kinds, accounts, findings };
}

/** What findings can be filtered by, and what of them that is. */
const FACETS = {
  severity: (one) => one.kind.severity,
  status: (one) => one.status,
  rule: (one) => one.kind.rule,
  account: (one) => one.account.id,
  ou: (one) => one.account.ou || NO_OU,
  owner: (one) => one.key.owner || NO_OWNER,
};

/** Return what tells whether a word is anywhere in a finding; what many share is looked at once. */
function finder(word) {
  const asked = Symbol(word);
  const has = (shared) => {
    if (shared.asked !== asked) {
      shared.asked = asked;
      shared.has = shared.text.includes(word);
    }
    return shared.has;
  };
  return (one) => has(one.kind) || has(one.account) || has(one.key) || one.text.includes(word);
}

/** Return the findings that every filter lets through; an empty filter lets all through. */
function matching(findings, wanted) {
  const words = (wanted.search ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  let left = findings;
  for (const [name, of] of Object.entries(FACETS)) {
    if (wanted[name]) left = left.filter((one) => of(one) === wanted[name]);
  }
  for (const word of words) left = left.filter(finder(word));
  return left;
}

function lastUsed(key) {
  if (!key.known) return "—";
  if (key.use === "used") return key.at === null ? "used" : key.at.slice(0, 10);
  return key.use;
}

/** Unknown first, then never, then from the longest ago to the latest. */
function usedOrder(key) {
  if (!key.known || key.use === "unknown") return "";
  return key.use === "never" ? "0" : `1${key.at ?? ""}`;
}

/** What each column shows and sorts by; unknown ages come first, as the ones to look into. */
const COLUMNS = [
  { name: "severity", label: "Severity", sortKey: (one) => SEVERITIES.indexOf(one.kind.severity) },
  { name: "status", label: "Status", sortKey: (one) => STATUSES.indexOf(one.status) },
  { name: "rule", label: "Finding", sortKey: (one) => one.kind.title.toLowerCase() },
  { name: "account", label: "Account", sortKey: (one) => (one.account.name || one.account.id).toLowerCase() },
  { name: "user", label: "User and owner", sortKey: (one) => one.key.user.toLowerCase() },
  { name: "key", label: "Access key", sortKey: (one) => one.key.name },
  { name: "age", label: "Age", sortKey: (one) => one.key.age ?? -1 },
  { name: "used", label: "Last used", sortKey: (one) => usedOrder(one.key) },
];

/** Return the findings in the order of one column; equal ones stay as they were. */
function sorted(findings, column, direction) {
  const keyed = findings.map((finding) => ({ finding, key: column.sortKey(finding) }));
  const sign = direction === "descending" ? -1 : 1;
  keyed.sort((a, b) => (a.key < b.key ? -sign : a.key > b.key ? sign : 0));
  return keyed.map((one) => one.finding);
}

/** Return the findings as they come first: the open ones, and the gravest of them. */
function gravest(findings) {
  const places = STATUSES.flatMap((status) => SEVERITIES.map((severity) => `${status} ${severity}`));
  const buckets = new Map(places.map((place) => [place, []]));
  for (const one of findings) buckets.get(`${one.status} ${one.kind.severity}`).push(one);
  return [...buckets.values()].flat();
}

/** What findings can be grouped by, and what a group is called. */
const GROUPS = {
  severity: { label: "Severity", title: (one) => capitalize(one.kind.severity) },
  account: { label: "Account", title: (one) => (one.account.name ? `${one.account.name} · ${one.account.id}` : one.account.id) },
  ou: { label: "Organizational unit", title: FACETS.ou },
  rule: { label: "Rule", title: (one) => `${one.kind.title} · ${one.kind.rule}` },
  owner: { label: "Owner", title: FACETS.owner },
};

/** Return the groups, that with the gravest findings first; each keeps the order of its findings. */
function grouped(findings, name) {
  const groups = new Map();
  for (const one of findings) {
    const value = FACETS[name](one);
    let group = groups.get(value);
    if (group === undefined) {
      group = { value, title: GROUPS[name].title(one), findings: [], counts: SEVERITIES.map(() => 0) };
      groups.set(value, group);
    }
    group.findings.push(one);
    if (one.status === "open") group.counts[SEVERITIES.indexOf(one.kind.severity)] += 1;
  }
  return [...groups.values()].sort(byGravity);
}

function byGravity(a, b) {
  for (const at of SEVERITIES.keys()) {
    if (a.counts[at] !== b.counts[at]) return b.counts[at] - a.counts[at];
  }
  return a.title.toLowerCase() < b.title.toLowerCase() ? -1 : 1;
}

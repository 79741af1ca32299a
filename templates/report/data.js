// Reading the embedded findings: an object announces an account or a kind, a list is a finding.

const SEVERITIES = ["critical", "high", "medium", "low", "info"];
const STATUSES = ["open", "indeterminate", "exempt"];

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

/** Return the key's facts by name; null for a finding about an account as a whole. */
function keyFacts(facts) {
  if (facts === null) return null;
  const [slot, status, userClass, created, age, idle, use, at, service, region, reason] = facts;
  return { slot, status, userClass, created, age, idle, use, at, service, region, reason };
}

function keyName(id, facts) {
  if (id !== null) return printable(id);
  return facts !== null && facts.slot !== null ? `key ${facts.slot}, id not known` : "—";
}

function toFinding(entry, kinds, account) {
  const [kindNumber, id, status, user, keyId, message, exemption, facts] = entry;
  const kind = kinds[kindNumber];
  const key = keyFacts(facts);
  const finding = {
    id, status, kind, account, key,
    user: printable(user),
    keyName: keyName(keyId, key),
    message: printable(message),
    exemption: exemption === null ? null : printable(exemption),
  };
  finding.text = [
    account.id, account.name, finding.user, finding.keyName, kind.rule, kind.title, finding.message,
  ].join("\n").toLowerCase();
  return finding;
}

/** Return the findings, and the kinds and accounts that they refer to. */
function decode(entries) {
  const kinds = [];
  const accounts = [];
  const findings = [];
  for (const entry of entries) {
    if (Array.isArray(entry)) {
      findings.push(toFinding(entry, kinds, accounts[accounts.length - 1]));
    } else if ("account" in entry) {
      accounts.push({ id: entry.account, name: shown(entry.name) });
    } else {
      kinds[entry.kind] = {
        rule: printable(entry.rule_id),
        title: printable(entry.title),
        severity: entry.severity,
        remedy: entry.remedy,
        controls: entry.controls.map(printable),
      };
    }
  }
  return { kinds, accounts, findings };
}

function lastUsed(key) {
  if (key === null) return "—";
  if (key.use === "used") return key.at === null ? "used" : key.at.slice(0, 10);
  return key.use;
}

/** What each column shows and sorts by; unknown ages come first, as the ones to look into. */
const COLUMNS = [
  { name: "severity", label: "Severity", sortKey: (one) => SEVERITIES.indexOf(one.kind.severity) },
  { name: "status", label: "Status", sortKey: (one) => STATUSES.indexOf(one.status) },
  { name: "rule", label: "Finding", sortKey: (one) => one.kind.title.toLowerCase() },
  { name: "account", label: "Account", sortKey: (one) => (one.account.name || one.account.id).toLowerCase() },
  { name: "user", label: "User", sortKey: (one) => one.user.toLowerCase() },
  { name: "key", label: "Access key", sortKey: (one) => one.keyName },
  { name: "age", label: "Age", sortKey: (one) => one.key?.age ?? -1 },
  { name: "used", label: "Last used", sortKey: (one) => usedOrder(one.key) },
];

/** Unknown first, then never, then from the longest ago to the latest. */
function usedOrder(key) {
  if (key === null || key.use === "unknown") return "";
  return key.use === "never" ? "0" : `1${key.at ?? ""}`;
}

/** Return the findings in the order of one column; equal ones stay as they were. */
function sorted(findings, column, direction) {
  const keyed = findings.map((finding) => ({ finding, key: column.sortKey(finding) }));
  const sign = direction === "descending" ? -1 : 1;
  keyed.sort((a, b) => (a.key < b.key ? -sign : a.key > b.key ? sign : 0));
  return keyed.map((one) => one.finding);
}

/** Return the findings that every filter lets through; an empty filter lets all through. */
function matching(findings, { search, severity, status, rule, account }) {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  return findings.filter((one) =>
    (severity === "" || one.kind.severity === severity)
    && (status === "" || one.status === status)
    && (rule === "" || one.kind.rule === rule)
    && (account === "" || one.account.id === account)
    && words.every((word) => one.text.includes(word)));
}

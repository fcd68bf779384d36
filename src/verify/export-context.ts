/** What every worker knows of the export before it looks at rows: which ids there are, and by which rules it was written. */
import type { SharedIds } from '../ids/id-table.js';
import { IdTable } from '../ids/id-table.js';
import { CLOSED_FOR_ONE_USER, OPEN_REFERENCES, type Target } from './references.js';

/** Targets whose ids are held in memory. */
export type HeldTarget = Exclude<Target, 'message'>;

/** What kind of export this is; it decides what is an error. */
export interface ExportKind {
  /** Of a realm (realm.json) or of one user (user.json). */
  oneUser: boolean;
  /** It has our manifest. What Zulip's own exports leave open or leave in is an error then. */
  ours: boolean;
  /** Without onboarding steps, thus of Zulip 7 or older. */
  untilZulip7: boolean;
  /** Without scheduled messages, thus of Zulip 6 or older. */
  untilZulip6: boolean;
  /** Without default settings of users (of one user: without reactions), thus of Zulip 4 or older. */
  untilZulip4: boolean;
  /** The realm of the system bots, which are never rows of an export: rows about them point to nowhere. */
  systemRealm: boolean;
  /** Secrets that were kept on request, as `table.key`. */
  keptSecrets: readonly string[];
}

/** Which release wrote an export, by the tables that it has: what is made and what verify demands of it follow the same rules. */
export function releaseByTables(tables: { has(table: string): boolean }, oneUser: boolean): Pick<ExportKind, 'untilZulip7' | 'untilZulip6' | 'untilZulip4'> {
  return {
    untilZulip7: !tables.has('zerver_onboardingstep'), untilZulip6: !oneUser && !tables.has('zerver_scheduledmessage'),
    untilZulip4: !tables.has(oneUser ? 'zerver_reaction' : 'zerver_realmuserdefault'),
  };
}

/** As it is sent to the workers. */
export interface SharedContext {
  directory: string;
  kind: ExportKind;
  targets: Record<HeldTarget, SharedIds>;
  /** Users who consented, where the export lists them. */
  consented: SharedIds | undefined;
  /** The accounts that are active are to be those of `consented` only. */
  consentCoversAccounts: boolean;
  /** The rows of {@link PRIVATE_TABLES} are to be those of `consented` only. */
  consentCoversPrivateTables: boolean;
  /** pathId of `s3_path` of each record of uploads/, which is how the import finds an attachment's file. */
  uploads: SharedIds | undefined;
}

/** As a worker uses it. */
export interface Context {
  directory: string;
  kind: ExportKind;
  targets: Record<HeldTarget, IdTable>;
  consented: IdTable | undefined;
  consentCoversAccounts: boolean;
  consentCoversPrivateTables: boolean;
  uploads: IdTable | undefined;
}

const open = (ids: SharedIds | undefined): IdTable | undefined => (ids === undefined ? undefined : new IdTable(false, ids));

export function openContext(shared: SharedContext): Context {
  const targets = Object.fromEntries(Object.entries(shared.targets).map(([target, ids]) => [target, new IdTable(false, ids)]));
  return {
    ...shared,
    targets: targets as Record<HeldTarget, IdTable>,
    consented: open(shared.consented),
    uploads: open(shared.uploads),
  };
}

/** Whether a reference is checked at all, and how it is reported when it points outside the export. */
export function openSeverity(kind: ExportKind, table: string, key: string, target: Target): { severity: 'error' | 'note'; reason: string | undefined } | undefined {
  if (kind.oneUser && CLOSED_FOR_ONE_USER[table]?.includes(key) !== true) return undefined;
  if (kind.oneUser && target === 'realm') return { severity: 'note', reason: "Zulip's rules export what is the user's own, whichever realm it names" };
  if (kind.systemRealm && (target === 'user' || target === 'account' || target === 'recipient')) {
    return { severity: 'note', reason: 'system bots are never rows of an export' };
  }
  const open = OPEN_REFERENCES.find((exception) => exception.table === table && exception.key === key);
  const applies = open !== undefined && {
    'always': true, 'written by Zulip': !kind.ours, 'until Zulip 7': kind.untilZulip7, 'until Zulip 6': kind.untilZulip6, 'until Zulip 4': kind.untilZulip4,
  }[open.when];
  return applies ? { severity: 'note', reason: open.reason } : { severity: 'error', reason: undefined };
}

/**
 * A file of sql/: a comment, directives (`-- @word …`) and one or more SELECTs. sql/README.md describes the form for authors.
 */
import { RealmliftError } from '../../errors.js';
import { parseConditions, type Condition } from './condition.js';

/** A file of the export that tables go to; `messages` stands for the numbered message files. */
const OUTPUT_FILES = ['realm.json', 'analytics.json', 'attachment.json', 'messages'] as const;
export type OutputFile = (typeof OUTPUT_FILES)[number];

/** Settings of the realm take the place of a user's: see `-- @defaults` in sql/README.md. */
export interface Defaults {
  /** Alias of the table that holds the values. */
  readonly alias: string;
  /** SQL condition under which the row keeps its own values. */
  readonly unless: string;
  readonly except: readonly string[];
}

export interface NamedSelect {
  /** Alternatives; the SELECT applies when all conditions of one hold. */
  readonly when: readonly (readonly Condition[])[];
  readonly sql: string;
  /** Columns that `alias.*` may expand to; undefined for all. */
  readonly columns: readonly string[] | undefined;
  readonly defaults: Defaults | undefined;
}

/** What a view of the ledger selects: rows that stay. */
export interface Loss {
  readonly dataClass: string;
  readonly reason: string;
}

/** Columns that the exports of some releases lack although the database has them. */
export interface Omission {
  readonly columns: readonly string[];
  readonly when: readonly Condition[];
}

/** A constant beside the tables of a file, such as `"import_source": "zulip"`. */
export interface Entry {
  readonly key: string;
  readonly value: string;
  readonly when: readonly Condition[];
}

export interface ViewFile {
  /** File name without .sql: the name of the table in the export, or of the selection. */
  readonly name: string;
  /** Folder: a data class, or `selection`. */
  readonly dataClass: string;
  /** The table whose rows it selects, when that is not `name`. */
  readonly table: string;
  readonly file: OutputFile | undefined;
  /** Of a view of the ledger: the data class that lost the rows, and why. */
  readonly loss: Loss | undefined;
  /** First comment, for people. */
  readonly comment: string;
  /** Column -> JSON key, where the rule (column name, less `_id` of a foreign key) does not hold. */
  readonly keys: ReadonlyMap<string, string>;
  /** Secrets that Zulip exports and we do not. */
  readonly strip: ReadonlySet<string>;
  /** Columns that Zulip does not export either. */
  readonly omit: ReadonlySet<string>;
  readonly omissions: readonly Omission[];
  /** Column that looks secret and travels -> why. */
  readonly keep: ReadonlyMap<string, string>;
  /** True when the rows belong to no realm, so that no tenant predicate is asked for. */
  readonly shared: boolean;
  /** The table is exported only when these hold. */
  readonly since: readonly Condition[];
  readonly entries: readonly Entry[];
  readonly selects: readonly NamedSelect[];
}

/** @throws RealmliftError VIEW_FILE naming file and line */
export function parseViewFile(text: string, dataClass: string, name: string): ViewFile {
  const where = `sql/${dataClass}/${name}.sql`;
  const fail = (line: number, message: string): never => {
    throw new RealmliftError('VIEW_FILE', 'plan', `${where}:${line}: ${message}`);
  };
  const comment: string[] = [];
  const keys = new Map<string, string>();
  const strip = new Set<string>();
  const omit = new Set<string>();
  const omissions: Omission[] = [];
  const keep = new Map<string, string>();
  const entries: Entry[] = [];
  const selects: NamedSelect[] = [];
  let table = name;
  let file: OutputFile | undefined;
  let lossClass: string | undefined;
  let lossReason: string | undefined;
  let shared = false;
  let since: Condition[] = [];
  let when: Condition[][] = [];
  let columns: string[] | undefined;
  let defaults: Defaults | undefined;
  let sql: string[] = [];

  const finish = (): void => {
    if (sql.length > 0) selects.push({ when: when.length > 0 ? when : [[]], sql: sql.join('\n'), columns, defaults });
    [when, columns, defaults, sql] = [[], undefined, undefined, []];
  };
  const list = (argument: string): string[] => argument.split(',').map((each) => each.trim());

  text.split('\n').forEach((line, index) => {
    const number = index + 1;
    const directive = /^-- @(\w+)\s*(.*?)\s*$/.exec(line);
    if (directive === null) {
      if (line.startsWith('--')) {
        if (selects.length === 0 && sql.length === 0 && when.length === 0) comment.push(line.replace(/^-- ?/, ''));
        if (sql.length > 0) finish();
      } else if (line.trim() !== '') sql.push(line);
      return;
    }
    const [word, argument] = [directive[1], directive[2] as string];
    if (sql.length > 0) finish();
    switch (word) {
      case 'file':
        if (!(OUTPUT_FILES as readonly string[]).includes(argument)) fail(number, `no such file: ${argument}`);
        file = argument as OutputFile;
        break;
      case 'class': lossClass = argument; break;
      case 'reason': lossReason = argument; break;
      case 'table': table = argument; break;
      case 'key': {
        const [column, key] = argument.split(/\s+/);
        if (column === undefined || key === undefined) fail(number, '@key COLUMN KEY');
        else keys.set(column, key);
        break;
      }
      case 'strip': list(argument).forEach((each) => strip.add(each)); break;
      case 'omit': {
        const [columns, conditions] = argument.split(/, when /) as [string, string | undefined];
        if (conditions === undefined) list(columns).forEach((each) => omit.add(each));
        else omissions.push({ columns: list(columns), when: parseConditions(conditions, `${where}:${number}`) });
        break;
      }
      case 'keep': {
        const [column, ...reason] = argument.split(/\s+/);
        if (column === undefined || reason.length === 0) fail(number, '@keep COLUMN REASON');
        else keep.set(column, reason.join(' '));
        break;
      }
      case 'shared': shared = true; break;
      case 'since': since = parseConditions(argument, `${where}:${number}`); break;
      case 'entry': {
        const match = /^(\w+) (\S+), when (.*)$/.exec(argument);
        if (match === null) fail(number, '@entry KEY VALUE, when CONDITIONS');
        else entries.push({ key: match[1] as string, value: match[2] as string, when: parseConditions(match[3] as string, `${where}:${number}`) });
        break;
      }
      case 'select': when.push(parseConditions(argument, `${where}:${number}`)); break;
      case 'columns': columns = list(argument); break;
      case 'defaults': {
        const match = /^(\w+), unless (.*?), except (.*)$/.exec(argument);
        if (match === null) fail(number, '@defaults ALIAS, unless CONDITION, except COLUMNS');
        else defaults = { alias: match[1] as string, unless: match[2] as string, except: list(match[3] as string) };
        break;
      }
      default: fail(number, `no such directive: @${word}`);
    }
  });
  finish();
  if (selects.length === 0) fail(1, 'no SELECT');
  const loss = lossClass === undefined || lossReason === undefined ? undefined : { dataClass: lossClass, reason: lossReason };
  return { name, dataClass, table, file, loss, comment: comment.join(' ').trim(), keys, strip, omit, omissions, keep, shared, since, entries, selects };
}

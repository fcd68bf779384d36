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

/** A file of which not all lines have been read. */
class ViewDraft {
  table: string;
  file: OutputFile | undefined;
  lossClass: string | undefined;
  lossReason: string | undefined;
  shared = false;
  since: Condition[] = [];
  readonly comment: string[] = [];
  readonly keys = new Map<string, string>();
  readonly strip = new Set<string>();
  readonly omit = new Set<string>();
  readonly omissions: Omission[] = [];
  readonly keep = new Map<string, string>();
  readonly entries: Entry[] = [];
  readonly selects: NamedSelect[] = [];
  /** Of the SELECT that is being read. */
  readonly sql: string[] = [];
  when: Condition[][] = [];
  columns: string[] | undefined;
  defaults: Defaults | undefined;

  constructor(name: string) {
    this.table = name;
  }

  /** A line that is no directive. */
  read(line: string): void {
    if (!line.startsWith('--')) {
      if (line.trim() !== '') this.sql.push(line);
      return;
    }
    if (this.selects.length === 0 && this.sql.length === 0 && this.when.length === 0) this.comment.push(line.replace(/^-- ?/, ''));
    this.endSelect();
  }

  endSelect(): void {
    if (this.sql.length === 0) return;
    this.selects.push({ when: this.when.length > 0 ? this.when : [[]], sql: this.sql.splice(0).join('\n'), columns: this.columns, defaults: this.defaults });
    [this.when, this.columns, this.defaults] = [[], undefined, undefined];
  }
}

/** What a directive says of the file. @param where the line is, for errors @returns what is wrong with it */
type Directive = (view: ViewDraft, argument: string, where: string) => string | void;

const DIRECTIVES: ReadonlyMap<string, Directive> = new Map(Object.entries<Directive>({
  file(view, argument) {
    if (!(OUTPUT_FILES as readonly string[]).includes(argument)) return `no such file: ${argument}`;
    view.file = argument as OutputFile;
  },
  class(view, argument) { view.lossClass = argument; },
  reason(view, argument) { view.lossReason = argument; },
  table(view, argument) { view.table = argument; },
  key(view, argument) {
    const [column, key] = argument.split(/\s+/);
    if (column === undefined || key === undefined) return '@key COLUMN KEY';
    view.keys.set(column, key);
  },
  strip(view, argument) { for (const column of list(argument)) view.strip.add(column); },
  omit(view, argument, where) {
    const [columns, conditions] = argument.split(/, when /) as [string, string | undefined];
    if (conditions !== undefined) view.omissions.push({ columns: list(columns), when: parseConditions(conditions, where) });
    else for (const column of list(columns)) view.omit.add(column);
  },
  keep(view, argument) {
    const [column, ...reason] = argument.split(/\s+/);
    if (column === undefined || reason.length === 0) return '@keep COLUMN REASON';
    view.keep.set(column, reason.join(' '));
  },
  shared(view) { view.shared = true; },
  since(view, argument, where) { view.since = parseConditions(argument, where); },
  entry(view, argument, where) {
    const [, key, value, conditions] = /^(\w+) (\S+), when (.*)$/.exec(argument) ?? [];
    if (key === undefined || value === undefined || conditions === undefined) return '@entry KEY VALUE, when CONDITIONS';
    view.entries.push({ key, value, when: parseConditions(conditions, where) });
  },
  select(view, argument, where) { view.when.push(parseConditions(argument, where)); },
  columns(view, argument) { view.columns = list(argument); },
  defaults(view, argument) {
    const [, alias, unless, except] = /^(\w+), unless (.*?), except (.*)$/.exec(argument) ?? [];
    if (alias === undefined || unless === undefined || except === undefined) return '@defaults ALIAS, unless CONDITION, except COLUMNS';
    view.defaults = { alias, unless, except: list(except) };
  },
}));

function list(argument: string): string[] {
  return argument.split(',').map((each) => each.trim());
}

/** @throws RealmliftError VIEW_FILE naming file and line */
export function parseViewFile(text: string, dataClass: string, name: string): ViewFile {
  const fail = (where: string, message: string): never => {
    throw new RealmliftError('VIEW_FILE', 'plan', `${where}: ${message}`);
  };
  const path = `sql/${dataClass}/${name}.sql`;
  const view = new ViewDraft(name);
  for (const [index, line] of text.split('\n').entries()) {
    const [, word, argument = ''] = /^-- @(\w+)\s*(.*?)\s*$/.exec(line) ?? [];
    if (word === undefined) {
      view.read(line);
      continue;
    }
    view.endSelect();
    const where = `${path}:${index + 1}`;
    const directive = DIRECTIVES.get(word) ?? fail(where, `no such directive: @${word}`);
    const fault = directive(view, argument, where);
    if (fault !== undefined) fail(where, fault);
  }
  view.endSelect();
  if (view.selects.length === 0) fail(`${path}:1`, 'no SELECT');
  const { table, file, lossClass, lossReason, comment, keys, strip, omit, omissions, keep, shared, since, entries, selects } = view;
  const loss = lossClass === undefined || lossReason === undefined ? undefined : { dataClass: lossClass, reason: lossReason };
  return { name, dataClass, table, file, loss, comment: comment.join(' ').trim(), keys, strip, omit, omissions, keep, shared, since, entries, selects };
}

/**
 * From a view file to the text that PostgreSQL runs: the SELECT that fits the circumstances, `alias.*` expanded to the columns of
 * the live schema that may travel, and the selections it reads put in front as CTEs.
 */
import { EXIT, RealmliftError } from '../../errors.js';
import type { Catalog } from './catalog.js';
import { checkView, type ViewRules } from './check-view.js';
import { describe, hold, type Circumstances } from './condition.js';
import { requireColumn, requireColumnsOf } from './needed-columns.js';
import { chooseSelect, expectedColumns, type Choice, type Registry } from './registry.js';
import { looksSecret } from './secret-names.js';
import { sourceOf, splitSelect, type SelectItem } from './select-list.js';
import { setForm, TENANT } from './set-form.js';
import type { NamedSelect, ViewFile } from './view-file.js';

/** What the operator decided about columns, as `table.column`. */
export interface Decisions {
  readonly strip: ReadonlySet<string>;
  readonly keep: ReadonlySet<string>;
}

export interface CompiledView {
  /** Name in the export, or of the selection. */
  readonly name: string;
  readonly view: ViewFile;
  /** Why this SELECT was chosen, in words; empty when the file has only one. */
  readonly rule: string;
  /** One SELECT, columns expanded, parameters as `:name`. */
  readonly sql: string;
  /** The same rows without references that would point outside the export, where it has such: see src/export/references/close-references.ts. */
  readonly closed?: string;
  readonly columns: readonly string[];
  /** Selections that it reads, directly. */
  readonly reads: readonly string[];
  /** Tables that it reads, directly. */
  readonly tables: readonly string[];
  /** Columns that the SELECT names or that the known releases beside this one have, and this schema lacks; and those that it has and a SELECT that scrubs does not know. */
  readonly leftOut: readonly string[];
}

export interface CompiledRegistry {
  /** In processing order. */
  readonly tables: ReadonlyMap<string, CompiledView>;
  readonly selections: ReadonlyMap<string, CompiledView>;
  /** The selection of the ids of all messages that travel, by which they are shared out to files. */
  readonly messageIds: CompiledView;
  /** What stays although it belongs to the realm. */
  readonly ledger: readonly CompiledView[];
  /** Secret columns by table: what `strip`, `omit` and the operator's decisions keep out of every text. */
  readonly secrets: ReadonlyMap<string, ReadonlySet<string>>;
}

/** Views as they are written, for one realm; or of all realms of a set at once, see setForm. */
export type Form = 'realm' | 'set';

/**
 * Compiles every table that travels under these circumstances and every selection that they read, and checks each.
 *
 * @throws RealmliftError SECRET_UNDECIDED when a column of an exported table looks secret and nobody decided; VIEW_REFUSED; SCHEMA_UNKNOWN
 */
export function compileRegistry(registry: Registry, circumstances: Circumstances, decisions: Decisions, form: Form = 'realm'): CompiledRegistry {
  const compiler = new Compiler(registry, circumstances, decisions, form);
  const tables = new Map<string, CompiledView>();
  for (const view of registry.tables.values()) {
    const choice = circumstances.catalog.has(view.table) ? chooseSelect(view, circumstances) : undefined;
    if (choice === undefined) continue;
    const compiled = compiler.compile(view, choice);
    // Rows are sorted by it.
    if (!compiled.columns.includes('id')) requireColumn(circumstances.catalog, view.table, 'id', `the view ${view.name}`);
    tables.set(view.name, compiled);
  }
  const ledger = registry.ledger.flatMap((view) => {
    const choice = chooseSelect(view, circumstances);
    return choice === undefined ? [] : [compiler.compile(view, choice)];
  });
  return { tables, ledger, messageIds: compiler.selection('exported_message_id'), selections: compiler.selections, secrets: compiler.secrets };
}

/** The runnable text of a compiled view: its selections as CTEs, parameters still as `:name`. */
export function withSelections(compiled: CompiledView, selections: ReadonlyMap<string, CompiledView>): string {
  const needed = new Map<string, CompiledView>();
  const gather = (of: CompiledView): void => {
    for (const name of of.reads) {
      if (needed.has(name)) continue;
      const selection = selections.get(name) as CompiledView;
      gather(selection);
      needed.set(name, selection);
    }
  };
  gather(compiled);
  const ctes = [...needed.values()].map(({ name, sql }) => `${name} AS (\n${sql}\n)`);
  return `${ctes.length === 0 ? '' : `WITH ${ctes.join(', ')}\n`}SELECT ${compiled.columns.map(quote).join(', ')} FROM (\n${compiled.closed ?? compiled.sql}\n) AS t`;
}

export function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Columns by table that a server of this release has. */
type ExpectedColumns = ReadonlyMap<string, ReadonlySet<string>>;

class Compiler {
  readonly selections = new Map<string, CompiledView>();
  readonly secrets: Map<string, Set<string>>;
  readonly #registry: Registry;
  readonly #circumstances: Circumstances;
  readonly #catalog: Catalog;
  readonly #rules: ViewRules;
  readonly #form: Form;
  readonly #expected: ExpectedColumns;

  constructor(registry: Registry, circumstances: Circumstances, decisions: Decisions, form: Form) {
    this.#form = form;
    this.#registry = registry;
    this.#circumstances = circumstances;
    this.#catalog = circumstances.catalog;
    this.#expected = expectedColumns(registry, circumstances.zerverMigration);
    this.secrets = secretColumns(registry, circumstances.catalog, this.#expected, decisions);
    const views = [...registry.tables.values()].map((view) => view.table);
    const folded = [...registry.notExported].filter(([, reason]) => reason.startsWith('folded')).map(([table]) => table);
    this.#rules = { tables: new Set([...views, ...folded]), selections: new Set(registry.selections.keys()), secrets: this.secrets, stripped: decisions.strip };
  }

  compile(view: ViewFile, { select, because }: Choice): CompiledView {
    const text = this.#form === 'set' && view.name !== TENANT ? setForm(select.sql, this.#rules.selections) : select.sql;
    checkView(view.name, text, this.#rules, view.shared);
    const { items, rest } = splitSelect(text, `${view.dataClass}/${view.name}.sql`);
    const sources = [...new Set([...text.matchAll(/\b(?:FROM|JOIN)\s+(\w+)/gi)].map((match) => match[1] as string))];
    const reads = sources.filter((name) => this.#registry.selections.has(name));
    const tables = sources.filter((name) => !this.#registry.selections.has(name));
    for (const name of reads) this.selection(name);
    const { sql, columns, leftOut } = this.#written(view, select, items, rest, quote);
    // The condition of @defaults is part of the text only now.
    if (select.defaults !== undefined) {
      const standIns = new StandIns(sql);
      checkView(view.name, this.#written(view, select, items, rest, (name) => standIns.quote(name)).sql, this.#rules, view.shared, standIns.names);
    }
    requireColumnsOf(view.name, sql, this.#catalog, new Map([...this.selections].map(([name, { columns, view: { table } }]) => [name, { columns, table }])));
    return { name: view.name, view, rule: view.selects.length > 1 ? describe(because) || 'otherwise' : '', sql, columns, reads, tables, leftOut };
  }

  /** Compiles a selection when it is first read. */
  selection(name: string): CompiledView {
    const known = this.selections.get(name);
    if (known !== undefined) return known;
    const view = this.#registry.selections.get(name) as ViewFile;
    const choice = chooseSelect(view, this.#circumstances);
    if (choice === undefined) throw new RealmliftError('VIEW_FILE', 'plan', `the selection ${name} has no SELECT for mode ${this.#circumstances.mode}`);
    const compiled = this.compile(view, choice);
    this.selections.set(name, compiled);
    return compiled;
  }

  /** The runnable SELECT. @param quoted how the names of columns are written */
  #written(view: ViewFile, select: NamedSelect, items: readonly SelectItem[], rest: string, quoted: (name: string) => string): { sql: string; columns: string[]; leftOut: string[] } {
    const expanded = this.#expand(view, select, items, rest, quoted);
    const list = expanded.items.map(({ name, text }) => (text.endsWith(`.${quoted(name)}`) ? text : `${text} AS ${quoted(name)}`));
    return { sql: `SELECT ${list.join(', ')}\n${rest}`, columns: expanded.items.map(({ name }) => name), leftOut: expanded.leftOut };
  }

  #expand(view: ViewFile, select: NamedSelect, items: readonly SelectItem[], rest: string, quoted: (name: string) => string): { items: Expression[]; leftOut: string[] } {
    const star = items.find((item) => item.kind === 'star');
    const expressions = items.filter((item) => item.kind === 'expression');
    if (star === undefined) return { items: expressions, leftOut: [] };
    const source = sourceOf(star.alias, rest);
    if (source === undefined) throw new RealmliftError('VIEW_FILE', 'plan', `${view.name}: ${star.alias}.* stands for no table`);
    const own = this.selections.get(source)?.columns ?? this.#travelling(source);
    const absent = [...(this.#expected.get(source) ?? [])].filter((column) => this.#catalog.get(source)?.columns.has(column) !== true);
    const leftOut = [...absent];
    // An override of a column that this schema lacks has nothing to override.
    const overrides = new Map(expressions.filter(({ name, text }) => {
      const missing = !own.includes(name) && new RegExp(`\\b${star.alias}\\.${name}\\b`).test(text);
      if (missing && !leftOut.includes(name)) leftOut.push(name);
      return !missing;
    }).map((item) => [item.name, item]));
    const expanded: Expression[] = [];
    for (const column of own) {
      const override = overrides.get(column);
      overrides.delete(column);
      if (override !== undefined) expanded.push(override);
      else if (select.columns === undefined || select.columns.includes(column)) expanded.push({ name: column, text: this.#column(star.alias, column, select, rest, quoted) });
      else leftOut.push(column);
    }
    return { items: [...expanded, ...overrides.values()], leftOut };
  }

  /** `alias."column"`, or the realm's default in its place where the SELECT says so. */
  #column(alias: string, column: string, select: NamedSelect, rest: string, quoted: (name: string) => string): string {
    const own = `${alias}.${quoted(column)}`;
    const { defaults } = select;
    if (defaults === undefined || defaults.except.includes(column)) return own;
    const table = this.#catalog.get(sourceOf(defaults.alias, rest) ?? '');
    if (table?.columns.has(column) !== true) return own;
    return `CASE WHEN ${defaults.unless} THEN ${own} ELSE ${defaults.alias}.${quoted(column)} END`;
  }

  #travelling(table: string): string[] {
    const secrets = this.secrets.get(table);
    const views = [...this.#registry.tables.values()].filter((view) => view.table === table);
    const omitted = views.flatMap((view) => view.omissions).filter(({ when }) => hold(when, this.#circumstances)).flatMap(({ columns }) => columns);
    return [...(this.#catalog.get(table)?.columns.keys() ?? [])].filter((column) => secrets?.has(column) !== true && !omitted.includes(column));
  }
}

/**
 * node-sql-parser reads no doubled quotes: in the text that is checked another name stands for a column with a quote in its own.
 * The check is told whose place it takes, and decides by the column's own name.
 */
class StandIns {
  /** Stand-in -> column. */
  readonly names = new Map<string, string>();
  readonly #taken: string;

  /** @param sql the text whose names are replaced: no stand-in occurs there */
  constructor(sql: string) {
    this.#taken = sql.toLowerCase();
  }

  quote(name: string): string {
    if (!name.includes('"')) return quote(name);
    let standIn = [...this.names].find(([, column]) => column === name)?.[0];
    for (let number = 1; standIn === undefined; number++) {
      const free = `quoted_${number}`;
      if (!this.#taken.includes(free) && !this.names.has(free)) standIn = free;
    }
    this.names.set(standIn, name);
    return quote(standIn);
  }
}

interface Expression {
  readonly name: string;
  readonly text: string;
}

/**
 * Which columns of exported tables are secret. A name that looks secret and that neither the view file nor the operator
 * classified stops the run.
 */
function secretColumns(registry: Registry, catalog: Catalog, expected: ExpectedColumns, decisions: Decisions): Map<string, Set<string>> {
  const secrets = new Map<string, Set<string>>();
  const kept = new Set(decisions.keep);
  const views = [...registry.tables.values(), ...registry.selections.values()];
  for (const view of views) {
    const of = secrets.get(view.table) ?? new Set<string>();
    secrets.set(view.table, of);
    for (const column of [...view.strip, ...view.omit]) of.add(column);
    for (const column of view.keep.keys()) kept.add(`${view.table}.${column}`);
  }
  for (const decision of decisions.strip) {
    const [table, column] = decision.split('.') as [string, string];
    secrets.get(table)?.add(column);
  }
  const exported = new Set([...registry.tables.values()].map((view) => view.table));
  const undecided: string[] = [];
  for (const table of exported) {
    for (const column of catalog.get(table)?.columns.keys() ?? []) {
      if (looksSecret(column) && secrets.get(table)?.has(column) !== true && !kept.has(`${table}.${column}`)) undecided.push(`${table}.${column}`);
    }
  }
  undecided.push(...renamedSecrets(registry, catalog, expected, secrets, kept, exported));
  if (undecided.length > 0) {
    throw new RealmliftError('SECRET_UNDECIDED', 'plan', `looks like a secret, or like one under a new name, and is not classified: ${undecided.join(', ')}`, {
      hint: `decide with ${undecided.map((each) => `--strip ${each}`).join(' ')} (or --keep); nothing was exported`, exit: EXIT.nothingExported,
    });
  }
  return secrets;
}

/** OIDs of types that hold no secret: bool, int2, int4, int8, float4, float8, numeric, date, timestamp, timestamptz. */
const HARMLESS_TYPES = new Set([16, 20, 21, 23, 700, 701, 1700, 1082, 1114, 1184]);

/**
 * A secret that the known releases beside this one have and this schema lacks may have got a new name: then every column of its table that no
 * known release has is suspect. A known successor (third_party_api_state of zoom_token) accounts for the secret that is gone.
 */
function renamedSecrets(registry: Registry, catalog: Catalog, expected: ExpectedColumns, secrets: ReadonlyMap<string, ReadonlySet<string>>, kept: ReadonlySet<string>, exported: ReadonlySet<string>): string[] {
  return [...exported].flatMap((table) => {
    const live = catalog.get(table)?.columns;
    const of = [...(secrets.get(table) ?? [])];
    const usual = expected.get(table);
    if (live === undefined || usual === undefined) return [];
    const gone = of.filter((column) => usual.has(column) && !live.has(column));
    const successors = of.filter((column) => !usual.has(column) && live.has(column));
    if (gone.length <= successors.length) return [];
    const known = registry.known.get(table);
    return [...live.values()].filter(({ name, type }) => known?.has(name) !== true && !HARMLESS_TYPES.has(type) && !looksSecret(name) && !of.includes(name))
      .map(({ name }) => `${table}.${name}`).filter((column) => !kept.has(column));
  });
}

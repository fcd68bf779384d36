/**
 * migration_status.json: the file by which `manage.py import` decides whether the new server's database has the same shape.
 *
 * It refuses another major version, and any app whose set of lines differs from its own (zerver/lib/import_realm.py,
 * check_migration_status). The lines are those of Django's `showmigrations --list`, which depend on the server's source
 * code: django_migrations also lists what was squashed away, and does not say how much a squashed migration replaces. So the
 * first of these that there is decides: a file that the user names, the server's source tree, the bundled catalogue of that
 * very version, and last what can be inferred from django_migrations alone.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { EXIT, RealmliftError } from '../errors.js';
import { ioReason } from '../io-reason.js';
import { coveredNumbers, type AppliedMigration } from '../plan/release/applied-migrations.js';
import { followsRule } from '../plan/release/file-rules.js';
import { DEFAULT_ZULIP_DIR, serverMigrations, serverVersion, type MigrationTree } from '../plan/release/zulip-server-files.js';
import type { ZulipVersion } from '../plan/release/zulip-version.js';
import { migrationLines, NO_MIGRATIONS } from './migration-graph.js';

/** The file's contents, as Zulip writes them. */
export interface MigrationStatus {
  readonly migrations_by_app: Readonly<Record<string, readonly string[]>>;
  readonly zulip_version: string;
}

export interface MigrationStatusResult {
  readonly content: MigrationStatus;
  /** Where the lines come from, for the report. */
  readonly source: string;
  /** What may make the import refuse it, one sentence each. */
  readonly warnings: readonly string[];
}

export interface MigrationStatusOptions {
  /** --migration-status FILE: taken as it is. */
  readonly file?: string | undefined;
  /** --zulip-dir DIR; undefined looks at `defaultZulipDir`. */
  readonly zulipDir?: string | undefined;
  /** Where a server's source tree is looked for when none is named. */
  readonly defaultZulipDir?: string | undefined;
}

/** One file per version, as that version's server wrote it, named after its newest zerver migration. */
const CATALOGUES = new URL('../../../data/migration-status/', import.meta.url);

/** Apps that a server may do without (EXTRA_INSTALLED_APPS, USING_PGROONGA): listed only if the database has some of their migrations. */
const OPTIONAL_APPS = new Set(['analytics', 'corporate', 'pgroonga', 'zilencer']);

/**
 * Labels that django_migrations keeps of apps that Zulip's servers no longer have (zerver/lib/migration_status.py, and the
 * labels that social_django's migrations replace).
 */
const FORMER_APPS = new Set(['admin', 'default', 'guardian', 'sites', 'social_auth', 'twofactor']);

/** True when a server of this version writes migration_status.json. */
export function hasMigrationStatus(version: ZulipVersion): boolean {
  return followsRule('migration_status.json and stats.json', version.zerverMigration);
}

/**
 * @param version of a server that `hasMigrationStatus`
 * @throws RealmliftError MIGRATION_STATUS when the named file is not one, ZULIP_DIR when the named tree cannot be read
 */
export function migrationStatus(version: ZulipVersion, options: MigrationStatusOptions = {}): MigrationStatusResult {
  if (options.file !== undefined) return fromFile(options.file, version);
  const warnings: string[] = [];
  return fromTree(version, options, warnings) ?? fromCatalogue(version, warnings) ?? fromNewerCatalogue(version) ?? inferred(version, warnings);
}

function fromFile(file: string, version: ZulipVersion): MigrationStatusResult {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw statusError(file, cause instanceof SyntaxError ? 'it is not JSON' : ioReason(cause), cause);
  }
  const status = validated(content, file);
  const fits = linesFit(status.migrations_by_app.zerver ?? [], namesOf(version.applied, 'zerver'));
  return { content: status, source: `the file ${file}`, warnings: fits ? [] : [`${file} is of another state of the server: its zerver migrations are not those of the database`] };
}

/** @throws RealmliftError MIGRATION_STATUS naming what is wrong, never more of the file than a key */
function validated(content: unknown, file: string): MigrationStatus {
  const { migrations_by_app: apps, zulip_version: version } = (content ?? {}) as Record<string, unknown>;
  if (typeof version !== 'string' || version === '') throw statusError(file, 'it has no text zulip_version');
  if (typeof apps !== 'object' || apps === null || Array.isArray(apps)) throw statusError(file, 'it has no object migrations_by_app');
  for (const [app, lines] of Object.entries(apps)) {
    const good = Array.isArray(lines) && lines.length > 0 && lines.every((line) => typeof line === 'string' && (line === NO_MIGRATIONS || parseLine(line) !== undefined));
    if (!good) throw statusError(file, `migrations_by_app.${app} is not a list of lines like "[X] 0001_initial"`);
  }
  if (!('zerver' in apps)) throw statusError(file, 'migrations_by_app has no app zerver');
  return { migrations_by_app: apps as Record<string, string[]>, zulip_version: version };
}

function statusError(file: string, reason: string, cause?: unknown): RealmliftError {
  return new RealmliftError('MIGRATION_STATUS', 'usage', `not a migration_status.json: ${file}: ${reason}`, {
    hint: 'take the one of an export that the server itself wrote, or use --zulip-dir', exit: EXIT.usage, cause,
  });
}

function fromTree(version: ZulipVersion, options: MigrationStatusOptions, warnings: string[]): MigrationStatusResult | undefined {
  const { zulipDir, defaultZulipDir = DEFAULT_ZULIP_DIR } = options;
  const directory = zulipDir ?? (existsSync(defaultZulipDir) ? defaultZulipDir : undefined);
  if (directory === undefined) return undefined;
  let tree: MigrationTree;
  let apps: Record<string, readonly string[]>;
  let text: string;
  try {
    text = serverVersion(directory);
    tree = serverMigrations(directory);
    apps = linesOfTree(tree, version, directory);
  } catch (error) {
    if (zulipDir !== undefined) throw error;
    warnings.push(`${directory} was not used for migration_status.json: ${(error as Error).message}`);
    return undefined;
  }
  const unknown = unknownToTree(tree, version.applied);
  if (unknown.length > 0) {
    const misfit = `${directory} is not the tree that this database was migrated by: it lacks ${unknown.length} applied zerver migrations, such as ${unknown.at(-1) ?? ''}`;
    if (zulipDir === undefined) {
      warnings.push(`${misfit}; it was not used for migration_status.json`);
      return undefined;
    }
    warnings.push(misfit);
  }
  const pending = Object.entries(apps).filter(([, lines]) => lines.some((line) => line.startsWith('[ ]'))).map(([app]) => app);
  if (pending.length > 0) warnings.push(`migrations of ${directory} are not applied yet (${pending.join(', ')}): the import wants a server with the same ones missing`);
  const completed = completeApps(apps, version.applied, warnings);
  return { content: { migrations_by_app: completed, zulip_version: version.override ?? text }, source: `the source tree ${directory}`, warnings };
}

function linesOfTree(tree: MigrationTree, version: ZulipVersion, directory: string): Record<string, readonly string[]> {
  const installed = new Map([...tree].filter(([app]) => !OPTIONAL_APPS.has(app) || namesOf(version.applied, app).size > 0));
  try {
    return migrationLines(installed, version.applied);
  } catch (cause) {
    throw new RealmliftError('ZULIP_DIR', 'package', `the migrations in ${directory} do not fit together: ${(cause as Error).message}`, {
      hint: 'is the tree complete? Name another with --zulip-dir, or give --migration-status', cause,
    });
  }
}

/** Applied zerver migrations that are no file of the tree and not replaced by one; those before 0029 were squashed away for good. */
function unknownToTree(tree: MigrationTree, applied: readonly AppliedMigration[]): string[] {
  const known = new Set<string>();
  for (const [name, { replaces }] of tree.get('zerver') ?? []) {
    known.add(name);
    for (const [app, replaced] of replaces) if (app === 'zerver') known.add(replaced);
  }
  return [...namesOf(applied, 'zerver')].filter((name) => !known.has(name) && coveredNumbers(name).some((number) => number > 28)).sort();
}

function fromCatalogue(version: ZulipVersion, warnings: string[]): MigrationStatusResult | undefined {
  const catalogue = catalogues().find(({ newest }) => newest === version.newestMigrationName)?.status;
  if (catalogue === undefined) return undefined;
  if (!linesFit(catalogue.migrations_by_app.zerver ?? [], namesOf(version.applied, 'zerver'))) {
    warnings.push(`the bundled catalogue for ${version.newestMigrationName} does not fit: the database has other zerver migrations`);
    return undefined;
  }
  const completed = completeApps({}, version.applied, warnings, catalogue);
  return { content: { migrations_by_app: completed, zulip_version: version.override ?? catalogue.zulip_version }, source: `the bundled catalogue for ${version.newestMigrationName}`, warnings };
}

/** The migrations of an older server are the first ones of a newer one's: its lines, as far as they are applied. */
function fromNewerCatalogue(version: ZulipVersion): MigrationStatusResult | undefined {
  const names = namesOf(version.applied, 'zerver');
  const own = catalogues().map(({ status }) => status.migrations_by_app.zerver ?? []).find((each) => linesFit(appliedLines(each, names), names));
  if (own === undefined) return undefined;
  const lines = appliedLines(own, names);
  // One that is missing in the middle is not of a later release: the server has it, and has not applied it.
  const missing = own.filter((line) => !lines.includes(line)).flatMap((line) => coveredNumbers(parseLine(line)?.name ?? ''));
  if (missing.some((number) => number <= version.completeTo)) return undefined;
  const content = { migrations_by_app: completeApps({ zerver: lines }, version.applied, []), zulip_version: version.text };
  return { content, source: `a newer server's bundled catalogue, up to ${version.newestMigrationName}`, warnings: [uncertain(version, 'taken from a newer server\'s')] };
}

function inferred(version: ZulipVersion, warnings: string[]): MigrationStatusResult {
  warnings.push(uncertain(version, 'inferred from django_migrations alone'));
  const content = { migrations_by_app: completeApps({}, version.applied, []), zulip_version: version.text };
  return { content, source: 'inferred from django_migrations', warnings };
}

function uncertain({ text }: ZulipVersion, how: string): string {
  return `migration_status.json was ${how} (zulip_version ${text}) and manage.py import ${text === 'unknown' ? 'will' : 'may'} refuse it: `
    + 'give --zulip-dir with the server\'s source tree, or --migration-status with the file of an export that the server wrote';
}

/**
 * Adds the apps that `apps` lacks and the server has: from a catalogue whose lines fit what is applied (the libraries' migrations
 * do not change with Zulip's version), else inferred. Sorted by app, as Zulip writes them.
 *
 * @param first a catalogue to be asked before the others, whose apps the server is expected to have
 */
function completeApps(
  apps: Readonly<Record<string, readonly string[]>>, applied: readonly AppliedMigration[], warnings: string[], first?: MigrationStatus,
): Record<string, readonly string[]> {
  const ordered = [...(first === undefined ? [] : [first]), ...catalogues().map(({ status }) => status)];
  const labels = new Set([...applied.map(({ app }) => app), ...Object.keys(first?.migrations_by_app ?? {})]);
  const out: Record<string, readonly string[]> = { ...apps };
  for (const app of labels) {
    const names = namesOf(applied, app);
    if (app in out || FORMER_APPS.has(app) || (OPTIONAL_APPS.has(app) && names.size === 0)) continue;
    const listed = ordered.flatMap((status) => status.migrations_by_app[app] === undefined ? [] : [status.migrations_by_app[app]]);
    const known = [...listed, ...listed.map((lines) => appliedLines(lines, names))].find((lines) => lines.length > 0 && linesFit(lines, names));
    if (known === undefined) warnings.push(`the migrations of ${app} are known from django_migrations alone; the import may refuse them`);
    out[app] = known ?? inferredLines(names);
  }
  return Object.fromEntries(Object.entries(out).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Lines of an app of which only the applied names are known. A squashed one covers those whose numbers it spans. */
function inferredLines(names: ReadonlySet<string>): string[] {
  const left = new Set([...names].sort());
  const lines: string[] = [];
  for (const name of names) {
    if (!isSquashed(name)) continue;
    const covered = new Set(coveredNumbers(name));
    const replaced = [...names].filter((other) => other !== name && !isSquashed(other) && coveredNumbers(other).every((number) => covered.has(number)));
    for (const each of [name, ...replaced]) left.delete(each);
    lines.push(replaced.length === 0 ? `[X] ${name}` : `[X] ${name} (${replaced.length} squashed migrations)`);
  }
  lines.push(...[...left].map((name) => `[X] ${name}`));
  return lines.length === 0 ? [NO_MIGRATIONS] : lines;
}

/** The lines of a catalogue without those of migrations that this database has not applied. */
function appliedLines(lines: readonly string[], names: ReadonlySet<string>): string[] {
  return lines.filter((line) => names.has(parseLine(line)?.name ?? ''));
}

/** True when the lines say of every recorded migration what the database says, and leave none unexplained. */
export function linesFit(lines: readonly string[], names: ReadonlySet<string>): boolean {
  if (lines.includes(NO_MIGRATIONS)) return true;
  const parsed = lines.map((line) => parseLine(line)).filter((line) => line !== undefined);
  const agrees = parsed.every(({ mark, name }) => mark === '-' || (mark === 'X') === names.has(name));
  const listed = new Set(parsed.map(({ name }) => name));
  const squashedAway = new Set(parsed.filter(({ name }) => isSquashed(name)).flatMap(({ name }) => coveredNumbers(name)));
  return agrees && [...names].every((name) => listed.has(name) || coveredNumbers(name).every((number) => squashedAway.has(number)));
}

function parseLine(line: string): { mark: string; name: string } | undefined {
  const [, mark, name] = /^\[([X -])\] (\S+)(?: \(\d+ squashed migrations\))?$/.exec(line) ?? [];
  return mark === undefined || name === undefined ? undefined : { mark, name };
}

function isSquashed(name: string): boolean {
  return /^\d+_squashed_/.test(name);
}

function namesOf(applied: readonly AppliedMigration[], app: string): Set<string> {
  return new Set(applied.filter((migration) => migration.app === app).map(({ name }) => name));
}

function catalogues(): { newest: string; status: MigrationStatus }[] {
  return readdirSync(CATALOGUES).filter((file) => file.endsWith('.json')).sort().reverse().map((file) => ({
    newest: file.slice(0, -'.json'.length), status: JSON.parse(readFileSync(new URL(file, CATALOGUES), 'utf8')) as MigrationStatus,
  }));
}

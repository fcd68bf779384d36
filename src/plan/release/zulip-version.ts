/**
 * Which Zulip server the database belongs to, and by which migration number its export rules are chosen.
 *
 * An import takes only an export of its own version, so each server is exported by its own version's rules. The database
 * names no version, only the migrations applied to it, and the newest of them misleads: Zulip back-ports single migrations to
 * its stable series. 9.x ends at 0558, yet a 9.4 server has also applied 0576 and 0622, though none of the dozens before
 * them (zerver/migrations/0576_backfill_imageattachment.py says so in a comment); 8.4 ends at 0496 and has 0501 and 0517.
 * The number that counts is therefore the one up to which the tree is complete.
 */
import type pg from 'pg';
import { EXIT, RealmliftError } from '../../errors.js';
import { appliedMigrations, coveredNumbers, newestNumber, type AppliedMigration } from './applied-migrations.js';
import { KNOWN_RELEASES, KNOWN_TREES, majorOfMigration, majorVersion, type MajorVersion } from './zulip-releases.js';

export interface ZulipVersion {
  /** The zerver migration by which rules are chosen: compare with `>=` against the first migration of a rule. */
  readonly zerverMigration: number;
  /** The migration up to which the tree is complete; those behind it are back-ports. */
  readonly completeTo: number;
  /** The newest applied zerver migration by number, back-ports included, e.g. `0697_empty_topic_name_…`. */
  readonly newestMigrationName: string;
  /** A known release (`8.4`), a series (`9.x`) or what it lies between (`after 9.x, before 11.0-dev`). */
  readonly release: string;
  /** The major version, the part that an import compares. */
  readonly major: number;
  /**
   * What migration_status.json may call the version where no server says it: the server's own text where the tree was seen, else
   * `MAJOR.0`, else (of a database newer than every tree that was read) `unknown`, which no import accepts.
   */
  readonly text: string;
  /** What the user said with --zulip-version, verbatim. */
  readonly override: string | undefined;
  /** Why, in one line for the plan and the report. */
  readonly evidence: string;
  /** All that django_migrations records. */
  readonly applied: readonly AppliedMigration[];
}

/**
 * So many consecutive numbers make a stretch of the tree's main line and not a handful of back-ports. The main line itself has had
 * no hole since 0029 (0002 to 0028 were squashed away), so a short stretch behind a hole is a back-port.
 */
const MAIN_LINE = 10;

/**
 * Reads the version from the live database.
 *
 * @param override the value of --zulip-version, e.g. `8.4` or `11.0-dev+git`; the database then only narrows it down
 * @throws RealmliftError NOT_ZULIP, RIGHT_MISSING, ZULIP_VERSION when the override is not a version
 */
export async function detectZulipVersion(client: pg.ClientBase, schema: string, override?: string): Promise<ZulipVersion> {
  return zulipVersion(await appliedMigrations(client, schema), override);
}

/** As `detectZulipVersion`, from migrations already read; at least one of them is zerver's. */
export function zulipVersion(applied: readonly AppliedMigration[], override?: string): ZulipVersion {
  const zerver = applied.filter((migration) => migration.app === 'zerver').map((migration) => migration.name);
  const newest = Math.max(...zerver.map(newestNumber));
  const newestMigrationName = zerver.filter((name) => newestNumber(name) === newest).sort().at(-1) ?? '';
  const numbers = new Set(zerver.flatMap(coveredNumbers));
  const completeTo = mainLineEnd(numbers);
  const backports = [...numbers].filter((number) => number > completeTo).sort((a, b) => a - b).map(fourDigits);

  // A release's tree is known by both numbers; the same main line with other back-ports is another release of its series.
  const exact = KNOWN_TREES.find((each) => each.newestMigration === newest && each.completeTo === completeTo);
  const series = exact ?? KNOWN_TREES.find((each) => each.completeTo === completeTo);
  const detected = series?.newestMigration ?? completeTo;
  const { major } = majorOfMigration(detected);
  const release = exact?.release ?? (series === undefined ? between(completeTo) : `${major}.x`);
  const seen = `newest applied migration zerver ${newestMigrationName}`
    + (backports.length === 0 ? '' : `; the tree is complete to ${fourDigits(completeTo)}, back-ported to it: ${backports.join(', ')}`);

  if (override === undefined) {
    const text = exact?.version ?? (isNewer(completeTo) ? 'unknown' : `${major}.0`);
    return { zerverMigration: detected, completeTo, newestMigrationName, release, major, text, override, evidence: seen, applied };
  }
  const window = overriddenMajor(override);
  const zerverMigration = Math.min(Math.max(detected, window.from), window.to);
  const evidence = `--zulip-version ${override}, rules of migration ${fourDigits(zerverMigration)} (the database: ${release}, ${seen})`;
  return { zerverMigration, completeTo, newestMigrationName, release: override, major: window.major, text: override, override, evidence, applied };
}

function mainLineEnd(numbers: ReadonlySet<number>): number {
  let end = 0;
  let run = 0;
  for (const number of [...numbers].sort((a, b) => a - b)) {
    run = numbers.has(number - 1) ? run + 1 : 1;
    if (run >= MAIN_LINE || end === 0 || number === end + 1) end = number;
  }
  return end;
}

function isNewer(number: number): boolean {
  return KNOWN_TREES.every(({ newestMigration }) => newestMigration < number);
}

function between(number: number): string {
  const before = KNOWN_TREES.findLast((each) => each.newestMigration < number);
  const after = KNOWN_TREES.find((each) => each.newestMigration > number);
  if (before === undefined) return `before ${after?.release ?? ''}`;
  return after === undefined ? `after ${before.release}` : `after ${before.release}, before ${after.release}`;
}

function overriddenMajor(override: string): MajorVersion {
  const major = /^(\d{1,3})(?:\.\d+)*(?:[-+][\w.+-]*)?$/.exec(override)?.[1];
  if (major === undefined) {
    throw new RealmliftError('ZULIP_VERSION', 'usage', `--zulip-version ${override} is not a version`, { hint: 'for example 8.4 or 11.0-dev+git', exit: EXIT.usage });
  }
  const known = majorVersion(Number(major));
  if (known === undefined) {
    throw new RealmliftError('ZULIP_VERSION', 'usage', `--zulip-version ${override}: the rules of that release are not known`, {
      hint: `known are ${KNOWN_RELEASES}; without the option the database decides`, exit: EXIT.usage,
    });
  }
  return known;
}

function fourDigits(number: number): string {
  return String(number).padStart(4, '0');
}

/**
 * The one table that ties Zulip's releases to zerver migrations: data/zulip-releases.json, in the order of the numbers. A line
 * says from which migration a release's rules hold (`rulesFrom`), or which migrations the tree of a release has that was read
 * (`newestMigration`, `completeTo`), or both. Conditions of sql/ and rules of src/ name releases; only this table names numbers.
 */
import { readFileSync } from 'node:fs';

/** A release whose tree of migrations was read. */
export interface KnownTree {
  readonly release: string;
  /** What the server calls itself (ZULIP_VERSION of its version.py), where that was seen. */
  readonly version?: string;
  /** The newest migration of the tree. */
  readonly newestMigration: number;
  /** The migration up to which the tree has every number; those behind it are back-ports. */
  readonly completeTo: number;
}

interface Line extends Partial<Omit<KnownTree, 'release'>> {
  readonly release: string;
  readonly rulesFrom?: number;
}

const LINES = JSON.parse(readFileSync(new URL('../../../../data/zulip-releases.json', import.meta.url), 'utf8')) as readonly Line[];

const RULES_FROM = new Map(LINES.flatMap(({ release, rulesFrom }) => (rulesFrom === undefined ? [] : [[release, rulesFrom]])));

/** The releases whose trees were read, oldest first. */
export const KNOWN_TREES = LINES.filter((line): line is Line & KnownTree => line.newestMigration !== undefined);

/** Of each major version, oldest first: the first and the last migration that its rules may be chosen by. */
const MAJORS = [...new Set(LINES.map(({ release }) => Number.parseInt(release, 10)))].map((major) => {
  const from = (at: number): number => LINES.find(({ release, rulesFrom }) => Number.parseInt(release, 10) >= at && rulesFrom !== undefined)?.rulesFrom ?? Infinity;
  return { major, from: from(major), to: from(major + 1) - 1 };
});

export interface MajorVersion {
  readonly major: number;
  readonly from: number;
  readonly to: number;
}

/** The oldest and the newest release whose rules are known, for messages: `2.1 to 12`. */
export const KNOWN_RELEASES = `${LINES[0]?.release ?? ''} to ${MAJORS.at(-1)?.major ?? ''}`;

/** The zerver migration from which the rules of a release hold, e.g. 754 for `12`; undefined when the table has no such line. */
export function rulesFrom(release: string): number | undefined {
  return RULES_FROM.get(release);
}

/** The newest zerver migration of a release, or the one from which its rules hold; undefined when the table does not know it. */
export function migrationOf(release: string): number | undefined {
  return KNOWN_TREES.find((tree) => tree.release === release)?.newestMigration ?? rulesFrom(release);
}

/** True when a server with this `ZulipVersion.zerverMigration` follows the rules of the release, or of a later one. */
export function followsRelease(release: string, zerverMigration: number): boolean {
  const from = rulesFrom(release);
  if (from === undefined) throw new RangeError(`data/zulip-releases.json does not say from when the rules of release ${release} hold`);
  return zerverMigration >= from;
}

/** The major version by whose rules a server with this migration exports. */
export function majorOfMigration(migration: number): MajorVersion {
  return MAJORS.findLast(({ from }) => from <= migration) as MajorVersion;
}

/** The major version 8 of `8.4`; undefined when its rules are not known. */
export function majorVersion(major: number): MajorVersion | undefined {
  return MAJORS.find((each) => each.major === major);
}

/** Splits of the samples' realms in all modes, with their files, each held against the source. */
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Test } from 'tap';
import { readUserList } from '../../src/plan/user-list.js';
import { query } from '../backup/test-backup.js';
import { realmlift } from '../cli/command-line.js';
import type { Choices } from '../export/test-source.js';
import { compareExports } from '../testbed/compare-export.js';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { AVATAR_SALT, testData } from '../testbed/test-data.js';
import { withEmptyDatabase, withTestDatabase } from '../testbed/test-database.js';
import { differences, exported, sourceAt, type LocalDataset } from './exported.js';

export interface SplitCase {
  readonly name: string;
  readonly dataset: LocalDataset;
  readonly realm: string;
  /** Of the command line, beside the realm. */
  readonly words: readonly string[];
  /** The same for an export. */
  readonly choices: Choices;
  /** Whether `make test` has it too. */
  readonly usual: boolean;
  /** By a script that psql loads. */
  readonly script?: boolean;
}

/** What is done to the source before a split, and what is seen in the database afterwards. */
export interface Watched {
  readonly before: (source: string) => Promise<void>;
  readonly after: (source: string, target: string) => Promise<void>;
}

const APPROVED = testData('zulip-11/local', 'acme-approved.txt');

function aCase(dataset: LocalDataset, realm: string, usual = false, words: readonly string[] = [], choices: Choices = {}): SplitCase {
  return { name: [dataset, realm, ...words.filter((word) => word !== APPROVED)].join(' '), dataset, realm, words, choices, usual };
}

const inMode = (dataset: LocalDataset, mode: 'consent' | 'public', usual = false): SplitCase => aCase(dataset, 'acme', usual, ['--mode', mode], { mode });
const ofUsers = (files: 'approved' | 'all', usual = false): SplitCase => aCase('zulip-11/local', 'acme', usual, ['--users', APPROVED, '--files', files], {
  mode: 'consent', approvedFilesOnly: files === 'approved', targets: { approved: readUserList(APPROVED) },
});
const asScript = (each: SplitCase): SplitCase => ({ ...each, name: `${each.name} as a script`, script: true });

export const EVERY_REALM_AND_MODE: readonly SplitCase[] = [
  aCase('zulip-4/local', 'acme'), aCase('zulip-4/local', 'globex'), inMode('zulip-4/local', 'public', true),
  aCase('zulip-8/local', 'acme'), aCase('zulip-8/local', 'globex'), inMode('zulip-8/local', 'public'),
  aCase('zulip-11/local', 'acme'), aCase('zulip-11/local', 'globex'), aCase('zulip-11/local', 'closed'), asScript(inMode('zulip-11/local', 'consent')), inMode('zulip-11/local', 'public'),
  asScript(ofUsers('approved', true)), ofUsers('all'),
  aCase('zulip-12/local', 'acme', true), aCase('zulip-12/local', 'tiny'), aCase('zulip-12/local', 'globex'), inMode('zulip-12/local', 'consent', true), inMode('zulip-12/local', 'public', true),
  asScript(inMode('zulip-12/local', 'public')),
];

const SAME = [
  'SELECT app, name FROM zulip.django_migrations ORDER BY id', 'SELECT * FROM zulip.django_content_type ORDER BY id', 'SELECT last_value FROM zulip.zerver_message_id_seq',
  // All foreign keys hold.
  `SELECT conrelid::regclass::text AS t, conname AS n, convalidated AS v FROM pg_constraint WHERE connamespace = 'zulip'::regnamespace ORDER BY 1, 2`,
  // The system realm with its bots.
  `SELECT u.id, u.delivery_email, r.id AS recipient FROM zulip.zerver_userprofile u JOIN zulip.zerver_recipient r ON r.id = u.recipient_id WHERE u.delivery_email LIKE '%@zulip.com' AND u.is_bot ORDER BY u.id`,
];

/** Splits the realm, and compares an export of the split with one of the source. */
export async function splitAndCompared(t: Test, { dataset, realm, words, choices, script }: SplitCase, watched?: Watched): Promise<void> {
  const place = t.testdir({ made: {} });
  await withTestDatabase(dataset, (source) => withEmptyDatabase(async (target) => {
    await watched?.before(source);
    const [uploads, files, sql] = [await uploadsDirectory(dataset), join(place, 'files'), join(place, 'made', 'split.sql')];
    const env = { DATABASE_URL: source, ZULIP_AVATAR_SALT: AVATAR_SALT[dataset], PATH: process.env.PATH ?? '' };
    const to = script === true ? ['--output', sql] : ['--target-url', target];
    const done = await realmlift(['split', '--realm', realm, '--force', ...words, ...to, '--uploads-dir', uploads, '--files-dir', files], { env });
    t.ok(done.code === 0 || done.code === 4, done.stderr);
    if (script === true) {
      const loaded = (): Promise<unknown> => promisify(execFile)('psql', ['--no-psqlrc', '--quiet', `--dbname=${target}`, `--file=${sql}`], { maxBuffer: 1e9 });
      t.strictSame(readdirSync(join(place, 'made')), ['split.sql']);
      await loaded();
      await t.rejects(loaded(), /already exists/);
    }
    for (const same of SAME) t.strictSame(await query(target, same), await query(source, same), same);
    t.match(await query(target, `SELECT count(*)::int AS n FROM zulip.zerver_realm`), [{ n: 2 }], 'beside it the system realm alone');
    t.match(await query(target, `SELECT count(DISTINCT api_key) = count(*) AS own, bool_and(password LIKE '!%') AS unusable FROM zulip.zerver_userprofile`), [{ own: true, unusable: true }]);
    const expected = await exported(sourceAt(dataset, source), join(place, 'source'), realm, { ...choices, force: true });
    // Whoever did not agree is a placeholder there, and nobody has to be asked again.
    const found = await exported(sourceAt(dataset, target, files), join(place, 'split'), realm, { force: true });
    // Zulip 4's exports hold the files of all uploads, also where their rows stay.
    const stays = dataset === 'zulip-4/local' && words.length > 0 ? /^uploads\// : /^$/;
    t.strictSame(words.length === 0 ? compareExports(expected, found) : differences(expected, found).filter((each) => !stays.test(each)), []);
    await watched?.after(source, target);
  }));
}

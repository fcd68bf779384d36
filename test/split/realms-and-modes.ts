/** Splits of the samples' realms in all modes, with their files, each held against the source. */
import { join } from 'node:path';
import type { Test } from 'tap';
import { readUserList } from '../../src/plan/user-list.js';
import { realmlift } from '../cli/command-line.js';
import type { Choices } from '../export/test-source.js';
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
}

const APPROVED = testData('zulip-11/local', 'acme-approved.txt');

function aCase(dataset: LocalDataset, realm: string, usual = false, words: readonly string[] = [], choices: Choices = {}): SplitCase {
  return { name: [dataset, realm, ...words.filter((word) => word !== APPROVED)].join(' '), dataset, realm, words, choices, usual };
}

const inMode = (dataset: LocalDataset, mode: 'consent' | 'public', usual = false): SplitCase => aCase(dataset, 'acme', usual, ['--mode', mode], { mode });
const ofUsers = (files: 'approved' | 'all', usual = false): SplitCase => aCase('zulip-11/local', 'acme', usual, ['--users', APPROVED, '--files', files], {
  mode: 'consent', approvedFilesOnly: files === 'approved', targets: { approved: readUserList(APPROVED) },
});

export const EVERY_REALM_AND_MODE: readonly SplitCase[] = [
  aCase('zulip-4/local', 'globex'), inMode('zulip-4/local', 'public', true),
  aCase('zulip-8/local', 'acme'), aCase('zulip-8/local', 'globex'), inMode('zulip-8/local', 'public'),
  aCase('zulip-11/local', 'globex'), aCase('zulip-11/local', 'closed', true), inMode('zulip-11/local', 'consent'), inMode('zulip-11/local', 'public'), ofUsers('approved', true), ofUsers('all'),
  aCase('zulip-12/local', 'tiny'), aCase('zulip-12/local', 'globex'), inMode('zulip-12/local', 'consent', true), inMode('zulip-12/local', 'public'),
];

/** Splits the realm, and compares an export of the split with one of the source. */
export async function splitAndCompared(t: Test, { dataset, realm, words, choices }: SplitCase): Promise<void> {
  const place = t.testdir();
  await withTestDatabase(dataset, (source) => withEmptyDatabase(async (target) => {
    const [uploads, files] = [await uploadsDirectory(dataset), join(place, 'files')];
    const env = { DATABASE_URL: source, ZULIP_AVATAR_SALT: AVATAR_SALT[dataset], PATH: process.env.PATH ?? '' };
    const done = await realmlift(['split', '--realm', realm, '--force', ...words, '--target-url', target, '--uploads-dir', uploads, '--files-dir', files], { env });
    t.ok(done.code === 0 || done.code === 4, done.stderr);
    const expected = await exported(sourceAt(dataset, source), join(place, 'source'), realm, { ...choices, force: true });
    const found = await exported(sourceAt(dataset, target, files), join(place, 'split'), realm, { force: true });
    // Zulip 4's exports hold the files of all uploads, also where their rows stay.
    const stays = dataset === 'zulip-4/local' && words.length > 0 ? /^uploads\// : /^$/;
    t.strictSame(differences(expected, found).filter((each) => !stays.test(each)), []);
  }));
}

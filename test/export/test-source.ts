/** The servers of the test data, and exports out of them in this process. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runExport, type ExportOptions } from '../../src/commands/export.js';
import type { ExportResult, Outcome } from '../../src/export/outcome.js';
import type { FileStore } from '../../src/files/file-store.js';
import { openLocalStore } from '../../src/files/local-store.js';
import type { TargetRequest } from '../../src/plan/targets.js';
import { connectionSettings } from '../../src/snapshot/connection-settings.js';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { AVATAR_SALT } from '../testbed/test-data.js';
import type { Dataset } from '../testbed/test-data.js';
import { withTestDatabase } from '../testbed/test-database.js';

export interface TestSource {
  readonly dataset: Dataset;
  /** libpq URI, as superuser. */
  readonly url: string;
  readonly openStore: () => Promise<FileStore>;
}

/** Runs `work` with a database of its own and the files that belong to it. */
export async function withSource<T>(dataset: Dataset, work: (source: TestSource) => Promise<T>): Promise<T> {
  return withTestDatabase(dataset, async (url) => {
    if (dataset === 'zulip-11/s3') {
      // Most tests need neither, which take longer to load than all else.
      const [{ BUCKETS, withS3 }, { openS3Store }] = await Promise.all([import('../testbed/s3-server.js'), import('../../src/files/s3/s3-store.js')]);
      return withS3(({ endpoint }) => work({
        dataset, url, openStore: () => openS3Store({
          endpoint, region: 'us-east-1', uploadsBucket: BUCKETS.uploads, avatarsBucket: BUCKETS.avatars,
          credentials: { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' },
        }),
      }));
    }
    const uploadsDir = await uploadsDirectory(dataset);
    return work({ dataset, url, openStore: () => openLocalStore({ uploadsDir }) });
  });
}

/** What a test may choose; the rest is as the command line has it by default. */
export type Choices = Partial<Omit<ExportOptions, 'targets'>> & { readonly targets?: Partial<TargetRequest> };

/** Exports below `output`, with one worker; each export is verified. */
export async function exportFrom({ url, dataset, openStore }: TestSource, output: string, realms: readonly string[] | 'all', choices: Choices = {}): Promise<Outcome[]> {
  return runExport({
    settings: connectionSettings(url, {}), mode: 'full', output, jobs: 1, resume: false, snapshot: undefined, maxSnapshotAge: undefined, signal: undefined, force: false,
    decisions: { strip: new Set(), keep: new Set() }, approvedFilesOnly: false, consentMessage: undefined, zulipVersion: undefined,
    migrationStatus: {}, openStore, fileJobs: undefined, salt: AVATAR_SALT[dataset], avatars: true, randomSeed: undefined, verify: true, onEvent: () => undefined,
    ...choices,
    targets: { realms, exclude: [], users: undefined, approved: undefined, allowUnknown: false, ...choices.targets },
  });
}

/** The only outcome, which must be a success. @throws what the export failed with */
export function only(outcomes: readonly Outcome[]): ExportResult {
  const [outcome] = outcomes;
  if (outcome === undefined || outcomes.length > 1) throw new Error(`${outcomes.length} outcomes`);
  if ('error' in outcome) throw outcome.error;
  if ('earlier' in outcome) throw new Error(`${outcome.earlier.directory} was finished before`);
  return outcome.result;
}

/** Exports one realm and returns its directory. */
export async function exportRealm(source: TestSource, output: string, realm: string, choices: Choices = {}): Promise<string> {
  return only(await exportFrom(source, output, [realm], choices)).directory;
}

/** Exports one user of a realm and returns the directory. */
export async function exportUser(source: TestSource, output: string, realm: string, user: string, choices: Choices = {}): Promise<string> {
  const users = [{ user, realm: undefined }];
  return only(await exportFrom(source, output, [realm], { ...choices, mode: 'user', targets: { ...choices.targets, users } })).directory;
}

/** The parsed content of a file of an export. */
export function tableFile(directory: string, name: string): Record<string, Record<string, unknown>[]> {
  return JSON.parse(readFileSync(join(directory, name), 'utf8')) as Record<string, Record<string, unknown>[]>;
}

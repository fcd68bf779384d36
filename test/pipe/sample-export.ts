/** Exports of the sample databases by realmlift itself, as material for what reads finished exports. */
import { join } from 'node:path';
import { runExport } from '../../src/commands/export.js';
import { openLocalStore } from '../../src/files/local-store.js';
import type { Mode } from '../../src/plan/views/condition.js';
import type { UserEntry } from '../../src/plan/user-list.js';
import { connectionSettings } from '../../src/snapshot/connection-settings.js';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { AVATAR_SALT } from '../testbed/test-data.js';

export interface SampleExport {
  readonly realm: string;
  readonly mode?: Mode;
  /** Email addresses of single users. */
  readonly users?: readonly string[];
  /** Set C of an export by approved users. */
  readonly approved?: readonly string[];
  /** Directory under which the export's own is made. */
  readonly output: string;
  /** Read it again before it is published; not unless asked for. */
  readonly verify?: boolean;
  readonly dataset?: 'zulip-11/local' | 'zulip-8/local';
}

/** Exports and returns the directories, in the order of the targets. */
export async function sampleExport(url: string, { realm, mode = 'full', users, approved, output, verify = false, dataset = 'zulip-11/local' }: SampleExport): Promise<string[]> {
  const uploadsDir = await uploadsDirectory(dataset);
  const outcomes = await runExport({
    settings: connectionSettings(url, {}), targets: { realms: [realm], exclude: [], users: entries(users), approved: entries(approved), allowUnknown: false }, mode, output, jobs: 1, resume: false, snapshot: undefined, maxSnapshotAge: undefined, signal: undefined, force: true,
    decisions: { strip: new Set(), keep: new Set() }, approvedFilesOnly: true, verify, consentMessage: undefined, zulipVersion: undefined,
    migrationStatus: { file: undefined, zulipDir: undefined }, openStore: () => openLocalStore({ uploadsDir }), fileJobs: undefined,
    salt: AVATAR_SALT[dataset], avatars: true, randomSeed: 'sample', onEvent: () => undefined,
  });
  return outcomes.map((outcome) => {
    if ('error' in outcome) throw outcome.error;
    return join(output, outcome.target.directory);
  });
}

function entries(users: readonly string[] | undefined): UserEntry[] | undefined {
  return users?.map((user) => ({ user, realm: undefined, where: user }));
}

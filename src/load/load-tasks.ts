/** What the sessions of a load work off: each task is a step of the journal. */
import type { SessionTask } from '../snapshot/session-pool.js';
import { tellProgress } from '../narration.js';
import { targetFault } from '../copy/target-fault.js';
import type { LoadJournal } from './server/load-journal.js';
import type { MessageFile } from './source/load-source.js';
import type { TableLoader } from './rows/table-loader.js';

/** Bytes of messages files that one transaction loads: so much is done again when it is cut off. */
const GROUP = 32 * 1024 * 1024;

export function tableTask(loader: TableLoader, journal: LoadJournal, table: string): SessionTask {
  return async (client, signal) => {
    await journal.step(client, `table ${table}`, () => loader.table(client, table, signal)).catch((error: unknown) => { throw targetFault(error, table, 'load'); });
  };
}

/** @param tables of messages files, each after those that it refers to */
export function* messageTasks(loader: TableLoader, journal: LoadJournal, files: readonly MessageFile[], tables: readonly string[]): Generator<SessionTask> {
  for (const group of groups(files)) {
    const [first] = group as [MessageFile];
    yield async (client, signal) => {
      await journal.step(client, `messages from ${first.listed.path}`, async () => {
        for (const file of group) {
          signal.throwIfAborted();
          await loader.messages(client, file, tables, signal);
        }
      }).catch((error: unknown) => { throw targetFault(error, first.listed.path, 'load'); });
      tellProgress(group.reduce((sum, { listed }) => sum + listed.size, 0));
    };
  }
}

function* groups(files: readonly MessageFile[]): Generator<MessageFile[]> {
  let group: MessageFile[] = [];
  let bytes = 0;
  for (const file of files) {
    group.push(file);
    bytes += file.listed.size;
    if (bytes < GROUP) continue;
    yield group;
    [group, bytes] = [[], 0];
  }
  if (group.length > 0) yield group;
}

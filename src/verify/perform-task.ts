/** Performs the tasks of verify: reads files with synchronous calls, one task after the other. */
import { join } from 'node:path';
import { openContext, type Context } from './export-context.js';
import { hashFile, readFile } from '../json/file-input.js';
import { IdSpool } from '../ids/id-spool.js';
import { JsonScanner } from '../json/json-scanner.js';
import type { Spools } from './message-rows.js';
import { indexRealm } from './realm-index.js';
import { checkRecords } from './check-records.js';
import { checkMendedFile } from './check-mended-file.js';
import { checkTableFile } from './check-table-file.js';
import { MESSAGE_REFERENCES, type CollectedIds, type TaskName, type Tasks } from './worker-tasks.js';

export type Perform = <Name extends TaskName>(name: Name, given: Tasks[Name]['arguments']) => Tasks[Name]['result'];

/** @param fds temporary files for ids, as many as SPOOLS_PER_WORKER, used by nobody else */
export function taskPerformer(fds: readonly number[]): Perform {
  const scanner = new JsonScanner();
  const [messagesFd, userMessagesFd, ...referenceFds] = fds as [number, number, ...number[]];
  const references = new Map(MESSAGE_REFERENCES.map((reference, i) => [reference, new IdSpool(referenceFds[i]!)]));
  const spools: Spools = { messages: new IdSpool(messagesFd), userMessages: new IdSpool(userMessagesFd), references };
  let context: Context | undefined;
  const known = (): Context => {
    if (context === undefined) throw new Error('a task came before its context');
    return context;
  };
  const tasks: { [Name in TaskName]: (given: Tasks[Name]['arguments']) => Tasks[Name]['result'] } = {
    index({ path, oneUser }) {
      const { value, damage } = readFile(path, (source) => {
        scanner.open(source);
        return indexRealm(scanner, oneUser);
      });
      return { index: value, damage };
    },
    context(shared) {
      context = openContext(shared);
      // What was gathered belongs to the export before.
      for (const spool of [spools.messages, spools.userMessages, ...references.values()]) spool.reset();
      return undefined;
    },
    records: ({ area }) => checkRecords(area, scanner, known()),
    tables: ({ file, direct }) => checkTableFile(file, scanner, known(), spools, direct),
    mended: ({ file, known: base, rows }) => checkMendedFile(file, base, rows, scanner, known(), spools),
    hash: ({ files }) => files.map(({ path, size }) => ({ file: path, ...hashFile(join(known().directory, path), size) })),
    unchanged({ path, size, ids, sha256 }) {
      for (const id of ids) spools.messages.add(id);
      return { file: path, ...(sha256 === undefined ? hashFile(join(known().directory, path), size) : { size, sha256 }) };
    },
    finish: (): CollectedIds => ({
      messages: spools.messages.finish(),
      userMessages: spools.userMessages.finish(),
      references: new Map([...references].map(([reference, spool]) => [reference, spool.finish()])),
    }),
  };
  return (name, given) => tasks[name](given);
}

/** Opens a part with the key and looks whether it holds what the sealed list says. */
import type { RealmliftError } from '../../errors.js';
import { RowCheck } from '../rows/row-check.js';
import { visitArchive } from '../uploads/upload-archive.js';
import { IDENTITY } from './backup-contents.js';
import type { Contents, Part } from './backup-contents.js';
import type { OpenBackup } from './find-backup.js';
import { openPart, partProblem } from './sealing.js';

type Check = (plain: AsyncIterable<Buffer>) => Promise<void>;

/** Gives what is wrong with a part, or undefined. */
export function partChecker({ store, contents, open }: OpenBackup): (part: Part, signal: AbortSignal) => Promise<string | undefined> {
  const checks = new Map([...rowChecks(contents), ...archiveChecks(contents)]);
  return async (part, signal) => {
    // The key itself lies under the passphrase, which has opened it already.
    if (part.name === IDENTITY) return partProblem(store, part, signal);
    try {
      await openPart(store, part, open, signal, checks.get(part.name) ?? drain);
      return undefined;
    } catch (error) {
      const { code, message } = error as RealmliftError;
      if (code !== 'BACKUP_DAMAGED') throw error;
      return message.slice(`${part.name}: `.length);
    }
  };
}

function* rowChecks(contents: Contents): Generator<[string, Check]> {
  for (const { format, parts } of [...contents.tables, { format: 'binary' as const, parts: contents.largeObjects }]) {
    for (const saved of parts) yield [saved.part, (plain) => drain(new RowCheck(format, saved).pass(plain))];
  }
}

function* archiveChecks({ files }: Contents): Generator<[string, Check]> {
  for (const saved of files?.parts ?? []) yield [saved.part, (plain) => visitArchive(plain, saved, (_, content) => drain(content))];
}

async function drain(chunks: AsyncIterable<unknown>): Promise<void> {
  for await (const chunk of chunks) void chunk;
}

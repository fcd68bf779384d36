/** Opens a part with the key and looks whether it holds what the sealed list says. */
import type { RealmliftError } from '../errors.js';
import { IDENTITY } from './backup-contents.js';
import type { Contents, Part } from './backup-contents.js';
import type { OpenBackup } from './find-backup.js';
import { RowCheck } from './row-check.js';
import { openPart, partProblem } from './sealing.js';

type Pass = (chunks: AsyncIterable<Buffer>) => AsyncIterable<Buffer>;

/** @returns what is wrong with a part, or undefined */
export function partChecker({ store, contents, open }: OpenBackup, signal: AbortSignal): (part: Part) => Promise<string | undefined> {
  const checks = rowChecks(contents);
  return async (part) => {
    // The key itself lies under the passphrase, which has opened it already.
    if (part.name === IDENTITY) return partProblem(store, part);
    try {
      await openPart(store, part, open, signal, async (plain) => {
        const pass = checks.get(part.name)?.();
        for await (const chunk of pass === undefined ? plain : pass(plain)) void chunk;
      });
      return undefined;
    } catch (error) {
      const { code, message } = error as RealmliftError;
      if (code !== 'BACKUP_DAMAGED') throw error;
      return message.slice(`${part.name}: `.length);
    }
  };
}

/** By part: a new check of its rows. */
function rowChecks(contents: Contents): Map<string, () => Pass> {
  const out = new Map<string, () => Pass>();
  for (const { format, parts } of [...contents.tables, { format: 'binary' as const, parts: contents.largeObjects }]) {
    for (const saved of parts) {
      out.set(saved.part, () => {
        const check = new RowCheck(format, saved);
        return (chunks) => check.pass(chunks);
      });
    }
  }
  return out;
}

/** `realmlift load`: checks first, and then all that load/load-run.ts tells. */
import type pg from 'pg';
import { EXIT, RealmliftError } from '../errors.js';
import { checkExport, unwritten } from '../load/check-load.js';
import { LoadJournal, lockLoad } from '../load/server/load-journal.js';
import type { LoadRequest, LoadResult } from '../load/load-request.js';
import { runLoad } from '../load/load-run.js';
import { readLoadSource } from '../load/source/load-source.js';
import { tellLoadAhead } from '../load/source/load-steps.js';
import { openLoadable } from '../load/source/loadable-export.js';
import type { Schema } from '../load/rows/table-layout.js';
import { withTargetSession } from '../load/server/target-session.js';
import { readTargetTables } from '../load/server/target-tables.js';
import { withTableFiles } from '../pipe/opened-tables.js';
import { readCatalog } from '../plan/views/catalog.js';
import { loadRegistry } from '../plan/views/registry.js';
import { refuseRealmName } from '../remap/remap-request.js';

/**
 * Loads a finished export into a new server's database.
 *
 * @param onBegin told once, from when on only --resume or --undo deal with a load that does not come to its end
 * @throws RealmliftError USAGE, LOAD_REFUSED, LOAD_UNFINISHED, LOAD_OF_ANOTHER, RIGHT_MISSING, TARGET_*, ROWS_REFUSED, CONNECTION_LOST, …
 */
export async function loadExport(directory: string, request: LoadRequest, stop: AbortSignal, onBegin: () => void = () => undefined): Promise<LoadResult> {
  refuseRealmName(request.realmName);
  return withTargetSession(request.target, 'load', stop, async (client, schemaName) => {
    const found = await unfinished(client, request);
    tellLoadAhead(request.dryRun);
    await checkExport(client, directory, request, found !== undefined, stop);
    const source = await unwritten(openLoadable(directory));
    return withTableFiles(async (open) => {
      const files = open(source);
      const schema: Schema = { tables: await readTargetTables(client, schemaName), registry: loadRegistry(), catalog: await readCatalog(client, schemaName) };
      return runLoad({ client, source: await readLoadSource(source, files), schema, request, stop, onBegin }, found);
    });
  });
}

/** The journal of the load that is to be gone on with. @throws RealmliftError LOAD_UNFINISHED, LOAD_RUNNING */
async function unfinished(client: pg.Client, { subdomain, resume, dryRun }: LoadRequest): Promise<LoadJournal | undefined> {
  await lockLoad(client, subdomain);
  const found = await LoadJournal.find(client, subdomain);
  if (found !== undefined && !resume && !dryRun) {
    throw new RealmliftError('LOAD_UNFINISHED', 'load', `an earlier load of ${subdomain} is unfinished`, { hint: 'go on with it by --resume, or remove it by --undo', exit: EXIT.nothingExported });
  }
  // One that was stopped before it had written anything begins anew.
  return found;
}

/** One run of `realmlift restore`: into the database that was named, or into a scratch server for the proof alone. */
import type { ConnectionSettings } from '../snapshot/connection-settings.js';
import { prove } from './prove.js';
import type { Proof } from './prove.js';
import { restoreDatabase } from './restore.js';
import type { RestoreRequest, RestoreResult } from './restore.js';
import { withScratchServer } from './scratch-server.js';

export interface ProveRequest extends Omit<RestoreRequest, 'settings'> {
  /** An empty database; undefined for a server that is started for the purpose and removed afterwards. */
  readonly settings: ConnectionSettings | undefined;
}

/** Restores, reads everything back and compares it with the source. @throws RealmliftError PROOF_FAILED, SCRATCH_SERVER; what a restore throws */
export async function restoreAndProve(request: ProveRequest, stop: AbortSignal): Promise<RestoreResult & { readonly proof: Proof }> {
  const { contents } = request.backup;
  const run = async (settings: ConnectionSettings, createRoles: boolean): Promise<RestoreResult & { readonly proof: Proof }> => {
    const result = await restoreDatabase({ ...request, settings, createRoles }, stop);
    return { ...result, proof: await prove(contents, settings, request.jobs, stop) };
  };
  if (request.settings !== undefined) return run(request.settings, request.createRoles);
  return withScratchServer(contents.source.serverVersion, contents.source.encoding, (settings) => run(settings, true));
}

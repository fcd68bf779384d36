/** `realmlift install`: makes the views and the role of src/plan/views/safe-views.ts. The only thing that realmlift ever writes to a source. */
import { RealmliftError } from '../errors.js';
import { findSchema, readCatalog } from '../plan/views/catalog.js';
import { compileRegistry, type Decisions } from '../plan/views/compile-view.js';
import { refuseUnknownDecisions } from '../plan/plan-export.js';
import { loadRegistry } from '../plan/views/registry.js';
import { installStatements } from '../plan/views/safe-views.js';
import { detectZulipVersion } from '../plan/release/zulip-version.js';
import { connect } from '../snapshot/connect.js';
import type { ConnectionSettings } from '../snapshot/connection-settings.js';

export interface InstallOptions {
  readonly settings: ConnectionSettings;
  readonly role: string;
  readonly decisions: Decisions;
  /** Only return the statements. */
  readonly dryRun: boolean;
  readonly stop: AbortSignal;
}

/**
 * @returns the SQL, as run or to be run
 * @throws RealmliftError COLUMN_UNKNOWN, COLUMN_NEEDED and COLUMN_SECRET of decisions that cannot be kept; INSTALL_REFUSED when the role may not create schemas or roles; then nothing was changed
 */
export async function install({ settings, role, decisions, dryRun, stop }: InstallOptions): Promise<string> {
  const client = await connect(settings, 'install', stop);
  try {
    const registry = loadRegistry();
    const schema = await findSchema(client);
    const catalog = await readCatalog(client, schema);
    refuseUnknownDecisions(decisions, { catalog, registry });
    const { zerverMigration } = await detectZulipVersion(client, schema);
    const compiled = compileRegistry(registry, { mode: 'full', catalog, zerverMigration }, decisions);
    const statements = ['BEGIN', ...installStatements(registry, catalog, compiled, schema, role), 'COMMIT'];
    const sql = `${statements.join(';\n')};\n`;
    if (!dryRun) await client.query(sql);
    return sql;
  } catch (error) {
    stop.throwIfAborted();
    const { code = '', message } = error as { code?: string; message: string };
    if (code !== '42501' && code !== '25006') throw error;
    throw new RealmliftError('INSTALL_REFUSED', 'plan', `the server refused: ${message}`, { hint: 'run as a superuser on the primary, or hand the output of --dry-run to somebody who is', cause: error });
  } finally {
    await client.end().catch(() => undefined);
  }
}

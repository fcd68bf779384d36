/** Servers of releases without a sample: a sample's database with an altered schema, and exports out of it, each read again by verify. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import type { Test } from 'tap';
import type { Mode } from '../../src/plan/views/condition.js';
import type { Row, Tables } from '../isolation/server-rows.js';
import { runExport } from '../../src/commands/export.js';
import { directoryOf, exportOne, exportOptions, readTables } from '../isolation/whole-export.js';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { AVATAR_SALT, type Dataset } from '../testbed/test-data.js';
import { withTestDatabase } from '../testbed/test-database.js';

export interface Choices {
  readonly consentMessage?: number;
  readonly user?: string;
  /** Addresses. */
  readonly approved?: readonly string[];
  readonly force?: boolean;
}

export interface Server {
  readonly client: pg.Client;
  readonly ids: (sql: string) => Promise<number[]>;
  readonly run: (mode: Mode, choices?: Choices) => Promise<Export>;
  /** The tables of several realms, exported at once. */
  readonly set: (realms: readonly string[]) => Promise<Tables[]>;
}

export interface Export {
  readonly directory: string;
  readonly tables: Tables;
  readonly text: (name: string) => string;
  readonly report: { readonly zulip: Row; readonly rules: Row; readonly unknown_tables: string[]; readonly unknown_columns: string[]; readonly stripped_columns: string[] };
}

/** Runs `work` with the sample's database, altered by `sql`. */
export async function withServer(t: Test, dataset: Exclude<Dataset, 'zulip-11/s3'>, sql: string, work: (server: Server) => Promise<void>): Promise<void> {
  const uploads = await uploadsDirectory(dataset);
  const output = t.testdir({});
  await withTestDatabase(dataset, async (url) => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      await client.query('SET search_path = zulip');
      await client.query(sql);
      let runs = 0;
      await work({
        client,
        ids: async (query) => (await client.query<{ id: string }>(query)).rows.map((row) => Number(row.id)).sort((a, b) => a - b),
        run: async (mode, { consentMessage, user, approved, force = true } = {}) => {
          const directory = await exportOne({
            ...exportOptions(url, uploads, join(output, String(++runs))), salt: AVATAR_SALT[dataset], mode, consentMessage, force,
            targets: { realms: ['acme'], exclude: [], users: user === undefined ? undefined : [{ user, realm: undefined }], approved: approved?.map((each) => ({ user: each, realm: undefined })), allowUnknown: false },
          });
          const text = (name: string): string => readFileSync(join(directory, name), 'utf8');
          return { directory, tables: readTables(directory), text, report: JSON.parse(text('report.json')) as Export['report'] };
        },
        set: async (realms) => (await runExport({
          ...exportOptions(url, uploads, join(output, String(++runs))), salt: AVATAR_SALT[dataset], mode: 'full', targets: { realms, exclude: [], users: undefined, approved: undefined, allowUnknown: false },
        })).map((outcome) => readTables(directoryOf(outcome))),
      });
    } finally {
      await client.end();
    }
  });
}

export function ids(rows: readonly Row[] | undefined, key = 'id'): number[] {
  return [...new Set((rows ?? []).map((row) => row[key] as number))].sort((a, b) => a - b);
}

export function without(tables: Tables, names: readonly string[]): Tables {
  return Object.fromEntries(Object.entries(tables).filter(([name]) => !names.includes(name)));
}

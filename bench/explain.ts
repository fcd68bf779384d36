/** How the server reads messages and usermessages for an export: no realm's export is to scan those of others. */
import pg from 'pg';
import { messageFiles } from '../src/plan/message-files.js';
import { bindMessageIds, bindMessageRange } from '../src/plan/parameters.js';
import { planExport } from '../src/plan/plan-export.js';
import { messageIdsQuery, messagesQuery, type PlannedTable, queryOf } from '../src/plan/plan-tables.js';
import { findRealm } from '../src/plan/realm.js';
import { readSource } from '../src/plan/source.js';

interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly 'Index Cond'?: string;
  readonly 'Plan Rows': number;
  readonly Plans?: readonly PlanNode[];
}

const TABLES = ['zerver_message', 'zerver_usermessage'] as const;

/** One line for each node of the plans of a segment's messages, and of one file's usermessages, that reads either table. */
export async function explain(url: string, realmName: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    // As the export's own sessions are set up.
    await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL work_mem = '64MB'; SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off");
    const source = await readSource(client, undefined);
    const plan = await planExport(client, source, {
      realm: await findRealm(client, realmName), mode: 'full', userId: undefined, decisions: { strip: new Set(), keep: new Set() },
      consentMessage: undefined, approved: undefined, force: true, seed: 'bench',
    });
    const planned = (name: string): PlannedTable => plan.tables.find((table) => table.name === name) as PlannedTable;
    const messages = messagesQuery(planned('zerver_message'), plan.compiled, plan.parameters);
    const files = [];
    for await (const file of messageFiles(client, messageIdsQuery(plan.compiled, plan.parameters))) files.push(file);
    const [first, segment] = [files[0]?.until ?? 0, files[15]?.until ?? files.at(-1)?.until ?? 0];
    const { rows } = await client.query<{ id: number }>(`SELECT q.id::float8 AS id FROM (${bindMessageRange(messages, 0, first)}) AS q`);
    const queries = {
      zerver_message: bindMessageRange(messages, 0, segment),
      zerver_usermessage: bindMessageIds(queryOf(planned('zerver_usermessage'), plan.compiled, plan.parameters), rows.map(({ id }) => id)),
    };
    const lines: string[] = [];
    for (const table of TABLES) {
      // As the export asks for messages.
      await client.query(`SET LOCAL enable_sort = ${table === 'zerver_message' ? 'off' : 'on'}`);
      const explained = await client.query<{ 'QUERY PLAN': [{ Plan: PlanNode }] }>(`EXPLAIN (FORMAT JSON) ${queries[table]}`);
      lines.push(...explained.rows.flatMap((row) => reads(row['QUERY PLAN'][0].Plan)).map((line) => `${realmName}, ${table}: ${line}`));
    }
    return lines;
  } finally {
    await client.end();
  }
}

function reads(node: PlanNode): string[] {
  const table = node['Relation Name'] ?? '';
  const below = (node.Plans ?? []).flatMap(reads);
  if (!(TABLES as readonly string[]).includes(table)) return below;
  const index = node['Index Name'] === undefined ? '' : ` using ${node['Index Name']}`;
  const condition = node['Index Cond'] === undefined ? '' : `, ${node['Index Cond'].replace(/'\{[^']{20,}\}'/, "'{…}'")}`;
  return [`${node['Node Type']}${index} on ${table}${condition}, ${node['Plan Rows']} rows expected`, ...below];
}

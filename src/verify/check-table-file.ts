/** Checks one file of tables: realm.json, user.json, analytics.json, attachment.json or one of messages-NNNNNN.json. */
import { join } from 'node:path';
import { MESSAGES_FILE } from '../package/export-files.js';
import { FileCensus, type Census } from './census.js';
import type { Context } from './export-context.js';
import { readFile } from '../json/file-input.js';
import { FindingList, type Finding } from './findings.js';
import { findRepeated, IdSpool, mergeRuns } from '../ids/id-spool.js';
import type { JsonScanner } from '../json/json-scanner.js';
import { MessageRows, type MessagesFound, type Spools } from './message-rows.js';
import { REFERENCES } from './references.js';
import { RowCheck } from './row-check.js';
import { specialCheck } from './special-rows.js';
import { scanTables, type RowCounts, type TablePlan } from './table-scanner.js';
import { withTemporaryFiles } from '../ids/temporary-files.js';

export interface TableFileResult {
  file: string;
  size: number;
  sha256: string;
  /** Undefined when the file cannot be read to its end. */
  rows: RowCounts | undefined;
  findings: Finding[];
  /** Of a file of messages; undefined when it has none. */
  messages: MessagesFound | undefined;
  census: Census;
}

/** `file` is relative to the export directory. @param direct see readFile */
export function checkTableFile(file: string, scanner: JsonScanner, context: Context, spools: Spools, direct: boolean): TableFileResult {
  const findings = new FindingList();
  const messages = MESSAGES_FILE.test(file) ? new MessageRows(spools) : undefined;
  const path = join(context.directory, file);
  const checks = new Map<string, RowCheck>();
  const census = new FileCensus();
  /** Where each table begins. */
  const begins: [string, number][] = [];

  const planFor = (table: string): RowCheck => {
    if (REFERENCES[table] === undefined) findings.add('note', file, table, 'unknown table: its references are unchecked');
    if (checks.has(table)) findings.add('error', file, table, 'the table comes twice in the file');
    begins.push([table, scanner.offset]);
    const special = census.beside(table, messages?.special(table) ?? specialCheck(table, context));
    const check = new RowCheck(file, table, context, findings, (key) => spools.references.get(key), special);
    checks.set(table, check);
    return check;
  };

  const read = readFile(path, (source) => {
    scanner.open(source);
    return scanTables(scanner, planFor);
  }, direct);
  const rows = read.value;
  begins.forEach(([table, begin], at) => { census.result.bytes[table] = (begins[at + 1]?.[1] ?? read.size) - begin; });
  if (read.damage !== undefined) findings.add('error', file, undefined, read.damage);
  if (rows !== undefined && messages !== undefined) {
    // In a single-user export the flags are in the messages.
    for (const table of context.kind.oneUser ? ['zerver_message'] : ['zerver_message', 'zerver_usermessage']) {
      if (!rows.has(table)) findings.add('error', file, table, 'the table is missing');
    }
    messages.finish((plans) => {
      readFile(path, (source) => {
        scanner.open(source);
        scanTables(scanner, plans);
      });
    }, (message, example) => { findings.add('error', file, 'zerver_usermessage', message, example); });
  }
  for (const { table, disordered } of checks.values()) {
    // Ids of messages and usermessages are compared over all files at the end.
    if (disordered && messages === undefined && rows !== undefined) findRepeatedRows(path, file, table, scanner, findings);
  }
  return { file, size: read.size, sha256: read.sha256, rows, findings: findings.list(), messages: messages?.found, census: census.result };
}

/** The slow way for a table that is not sorted: reads the file once more and sorts the ids of the table on disk. */
function findRepeatedRows(path: string, file: string, table: string, scanner: JsonScanner, findings: FindingList): void {
  withTemporaryFiles((open) => {
    const [fd, scratch] = open(2) as [number, number];
    const spool = new IdSpool(fd);
    const values = new Float64Array(1);
    const plan: TablePlan = {
      values,
      texts: [],
      read: (key) => (key === 'id' ? { reading: 'number', slot: 0 } : { reading: 'skip', slot: 0 }),
      row() {
        if (Number.isSafeInteger(values[0])) spool.add(values[0]!);
      },
    };
    readFile(path, (source) => {
      scanner.open(source);
      scanTables(scanner, (name) => (name === table ? plan : undefined));
    });
    findRepeated(mergeRuns(spool.finish(), new IdSpool(scratch)), (id) => {
      findings.add('error', file, table, 'an id comes more than once', `row ${id}`);
    });
  });
}

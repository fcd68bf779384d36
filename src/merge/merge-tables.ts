/** The tables of realm.json, user.json, analytics.json and attachment.json: table by table, row by row. */
import { join } from 'node:path';
import { assemble, type Member } from '../package/assemble.js';
import { RUN_DIRECTORY } from '../package/output-directory.js';
import type { JournalPart } from '../package/journal.js';
import { RowArray } from '../package/row-array.js';
import { TABLE_FILES } from '../package/export-files.js';
import type { TableFile } from '../pipe/table-file.js';
import { RealmliftError } from '../errors.js';
import { choose, isList, USER_TABLES } from './choose-row.js';
import type { Differences } from './differences.js';
import type { MergeInput } from './merge-input.js';
import { hasNaturalKey, supersededIn } from './natural-keys.js';
import { grouped, SortedRows, type Candidate } from './sorted-rows.js';
import { StayedAttachments, united, type StayedAttachment } from './stayed-attachments.js';

export interface MergeContext {
  readonly inputs: readonly MergeInput[];
  /** The directory being written. */
  readonly directory: string;
  readonly differences: Differences;
  /** Users that are accounts in some export and placeholders in the result: their usermessages have no account any more. */
  readonly formerAccounts: Set<number>;
  /** Attachments that no export has, though messages of the result name them. */
  readonly stayed: StayedAttachment[];
}

/** Writes the files; what each holds. */
export async function mergeTables(context: MergeContext): Promise<JournalPart[]> {
  const parts: JournalPart[] = [];
  for (const name of TABLE_FILES) {
    const files = filesNamed(context.inputs, name);
    if (files.length === 0) continue;
    const members: Member[] = [];
    for (const table of tablesOf(files)) {
      if (members.some((member) => member.key === table)) continue;
      members.push(...(await mergeTable(context, files, table)));
    }
    for (const [key, value] of files.flatMap(({ file }) => [...file.constants])) {
      if (!members.some((member) => member.key === key)) members.push({ key, value: JSON.parse(value) as unknown });
    }
    parts.push(await assemble(context.directory, name, members));
  }
  return parts;
}

interface InputFile {
  readonly input: MergeInput;
  readonly file: TableFile;
}

function filesNamed(inputs: readonly MergeInput[], name: string): InputFile[] {
  return inputs.flatMap((input) => input.files.filter((file) => file.name === name).map((file) => ({ input, file })));
}

/** In the order of the first export that has the file; what only others have comes behind. */
function tablesOf(files: readonly InputFile[]): string[] {
  return [...new Set(files.flatMap(({ file }) => file.tables))];
}

/** Accounts and placeholders are merged as one set of users and come out as two tables. */
async function mergeTable(context: MergeContext, files: readonly InputFile[], table: string): Promise<Member[]> {
  const tables = USER_TABLES.has(table) ? tablesOf(files).filter((each) => USER_TABLES.has(each)) : [table];
  const streams = (): SortedRows[] => files.flatMap(({ input, file }) => tables.filter((each) => file.tables.includes(each)).map((each) => new SortedRows(input, each, file.rows(each))));
  const superseded = hasNaturalKey(table) && context.inputs.length > 1 ? supersededIn(streams) : undefined;
  const stayed = table === 'zerver_attachment' ? await StayedAttachments.of(context.inputs) : undefined;
  const partOf = (each: string): string => `${RUN_DIRECTORY}/${each}.json`;
  const sinks = new Map(tables.map((each) => [each, new RowArray(join(context.directory, partOf(each)))]));
  try {
    for (const versions of grouped(streams())) {
      const choice = choose(versions);
      const { chosen } = choice;
      if (superseded?.has(chosen.id) === true) {
        context.differences.superseded(chosen);
        continue;
      }
      refuseOtherServers(choice.differing.length > 0, chosen);
      context.differences.rows(choice);
      if (chosen.table === 'zerver_userprofile_mirrordummy' && versions.some((each) => each.table === 'zerver_userprofile')) context.formerAccounts.add(chosen.id);
      (sinks.get(chosen.table) as RowArray).write(stayed === undefined ? chosen.row : withUnitedLists(chosen, versions, namedBesides(stayed, chosen.id, context.stayed)));
    }
    context.stayed.push(...(stayed?.upTo(Infinity) ?? []));
    const members: Member[] = [];
    for (const [each, sink] of sinks) {
      await sink.finish();
      members.push({ key: each, part: partOf(each), rows: sink.rows });
    }
    return members;
  } catch (error) {
    for (const sink of sinks.values()) sink.abandon();
    throw error;
  } finally {
    stayed?.close();
  }
}

/** What the reports say of an attachment of the result; what they say of those before it, which have no row, is left to the result's report. */
function namedBesides(stayed: StayedAttachments, id: number, others: StayedAttachment[]): StayedAttachment | undefined {
  for (const each of stayed.upTo(id)) {
    if (each.id === id) return each;
    others.push(each);
  }
  return undefined;
}

/** What an address stands for never changes on a server: one id with two meanings is of two servers. */
function refuseOtherServers(differs: boolean, { table, id }: Candidate): void {
  if (!differs || table !== 'zerver_recipient') return;
  throw new RealmliftError('MERGE_SERVERS', 'merge', `recipient ${id} is another one in each export: they are of different servers`, {
    table, hint: 'give every export ids of its own with --remap',
  });
}

/** The lists of messages that name an attachment hold only exported ones, so that each export knows a part. */
function withUnitedLists(chosen: Candidate, versions: readonly Candidate[], besides: StayedAttachment | undefined): Buffer {
  let row = chosen.row;
  // From the last to the first, so that places found before stay right.
  for (let field = chosen.fields.count - 1; field >= 0; field--) {
    const key = chosen.fields.key(field);
    if (!isList(key)) continue;
    const lists = versions.map(({ fields }) => JSON.parse(fields.bytes(fields.find(key)).toString('utf8')) as number[]);
    const all = united([...lists, besides?.[key]]);
    if (all.length === (JSON.parse(chosen.fields.bytes(field).toString('utf8')) as number[]).length) continue;
    row = Buffer.concat([row.subarray(0, chosen.fields.start(field)), Buffer.from(JSON.stringify(all)), row.subarray(chosen.fields.end(field))]);
  }
  return row;
}

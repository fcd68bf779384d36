/**
 * `realmlift merge --remap`: exports of different realms or servers get ids of their own before they are joined. Clients unite by
 * name and system bots by address; every other row stays a row of its own.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { MergeInput } from './merge-input.js';
import { eachTableFile } from '../pipe/opened-tables.js';
import { RowFields } from '../json/row-fields.js';
import type { TableFile } from '../pipe/table-file.js';
import { aboveBase, type Assignment, type BotIds, type NewIds } from '../remap/assignment.js';
import { refuseUnfit } from '../remap/id-map.js';
import { spaceOf } from '../remap/reference-catalog.js';
import { applyRemap, namesOf, type PreparedRemap } from '../remap/remap-request.js';

/**
 * Writes each export anew, below `directory`, one after the other: the ids of each begin above those of the one before.
 *
 * @returns the new directories, in the order of the inputs
 * @throws RealmliftError what {@link applyRemap} throws
 */
export async function giveIdsOfTheirOwn(prepared: PreparedRemap, inputs: readonly MergeInput[], directory: string): Promise<string[]> {
  const ids = prepared.ids ?? aboveAll(inputs);
  const { bots, clients } = united(prepared, inputs, ids);
  const highest = new Map<string, number>();
  const base = (table: string): number => Math.max(ids.base(table), highest.get(table) ?? 0);
  const all: NewIds = { base, nth: (table, n) => base(table) + n, limit: (table) => ids.limit(table) };
  const assignment: Assignment = { bots, clients, nextClient: undefined, all };
  const directories: string[] = [];
  for (const { index, source } of inputs) {
    const to = join(directory, String(index));
    mkdirSync(to, { recursive: true, mode: 0o700 });
    const result = await applyRemap({ ...prepared, ids }, { from: source.directory, to, files: 'link' }, assignment);
    for (const [table, id] of result.highest) highest.set(table, Math.max(id, highest.get(table) ?? 0));
    directories.push(to);
  }
  return directories;
}

/** The new server's ids of bots and clients; where nothing tells them, bots keep those of the first export, and clients get new ones. */
function united({ map, target }: PreparedRemap, inputs: readonly MergeInput[], ids: NewIds): { bots: Map<string, BotIds>; clients: Map<string, number> } {
  const exported = { bots: new Map<string, BotIds>(), clients: new Map<string, number>() };
  for (const { bots, clients } of inputs.map(({ files }) => namesOf(files))) {
    for (const [email, bot] of bots) if (!exported.bots.has(email)) exported.bots.set(email, bot);
    for (const [name, id] of clients) if (!exported.clients.has(name)) exported.clients.set(name, id);
  }
  if (map !== undefined) refuseUnfit(map, exported);
  const clients = new Map(map?.clients ?? target?.clients);
  let next = ids.base('zerver_client');
  for (const name of exported.clients.keys()) if (!clients.has(name)) clients.set(name, ++next);
  return { bots: new Map(map?.bots ?? target?.bots ?? exported.bots), clients };
}

/** New ids begin above all that any of the exports has, so that none seems to be another's. */
function aboveAll(inputs: readonly MergeInput[]): NewIds {
  const highest = new Map<string, number>();
  const fields = new RowFields();
  const note = (table: string, id: number): void => {
    // Rows made of a single user's flags have none.
    if (!Number.isNaN(id)) highest.set(table, Math.max(id, highest.get(table) ?? 0));
  };
  const look = (file: TableFile): void => {
    for (const table of file.tables) {
      for (const row of file.rows(table)) {
        note(spaceOf(table), fields.split(row).integerOf('id'));
        if (table === 'zerver_userprofile_crossrealm') note('zerver_recipient', fields.integerOf('recipient_id'));
      }
    }
  };
  for (const { files, source } of inputs) {
    files.forEach(look);
    for (const file of eachTableFile(source, source.messages)) look(file);
  }
  const base = (table: string): number => highest.get(table) ?? 0;
  return { ...aboveBase(0), base, nth: (table, n) => base(table) + n };
}

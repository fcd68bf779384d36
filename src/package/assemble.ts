/** Puts the parts of tables together to the JSON files that hold several tables: realm.json, analytics.json, attachment.json, user.json. */
import { join } from 'node:path';
import type { JournalPart } from './journal.js';
import { PartFile } from './part-file.js';

/** One member of the file's object: a table whose rows lie in a part file or come from somewhere else, or a value written as it is. */
export type Member =
  | { readonly key: string; readonly copy: (file: PartFile) => Promise<void> | void; readonly rows: number }
  | { readonly key: string; readonly part: string; readonly rows: number }
  | { readonly key: string; readonly value: unknown };

/**
 * Writes `{"key":[rows],…}`, or what people read too, a member a line.
 * @param directory of the run; the paths of parts are relative to it
 * @returns the file, with its rows by key; of a constant its letters, which Zulip's statistics count as Python's len() does
 */
export async function assemble(directory: string, name: string, members: readonly Member[], style: 'compact' | 'indented' = 'compact', flushed = true): Promise<JournalPart> {
  const [begin, between, colon, end] = style === 'compact' ? ['{', ',', ':', '}'] : ['{\n  ', ',\n  ', ': ', '\n}\n'];
  const file = new PartFile(join(directory, name));
  try {
    for (const [index, member] of members.entries()) {
      file.writeText(`${index === 0 ? begin : between}${JSON.stringify(member.key)}${colon}`);
      if ('copy' in member) await member.copy(file);
      else if ('part' in member) await file.append(join(directory, member.part));
      else file.writeText(style === 'compact' ? JSON.stringify(member.value) : indented(member.value));
    }
    file.writeText(members.length === 0 ? '{}' : end);
    const rows = Object.fromEntries(members.map((member) => [member.key, 'rows' in member ? member.rows : String(member.value).length]));
    return { path: name, ...(await file.finish(flushed)), rows };
  } catch (error) {
    file.abandon();
    throw error;
  }
}

/** A value as it stands in an indented object. */
export function indented(value: unknown): string {
  return JSON.stringify(value, null, 2).replaceAll('\n', '\n  ');
}

/**
 * Messages and usermessages: a merge of streams sorted by id, written to files of 1,000 messages.
 *
 * A usermessage must stand in the file of its message, and is sorted by its own id there, so the usermessages of a finished file
 * come from the files that its messages came from: those are still open and are read for their usermessages alone, once for
 * each new file that they overlap. Nothing but the present rows is in memory, whatever the number of messages or users.
 */
import { join } from 'node:path';
import { RealmliftError } from '../errors.js';
import { counted } from '../numbers.js';
import { PartFile } from '../package/part-file.js';
import { messagesPath } from '../package/export-files.js';
import type { JournalPart } from '../package/journal.js';
import { MESSAGES_PER_FILE } from '../plan/message-files.js';
import type { RowFields } from '../json/row-fields.js';
import { TableFile } from '../pipe/table-file.js';
import { choose, differentKeys } from './choose-row.js';
import { severalUsers, USER_FLAGS, type MergeInput } from './merge-input.js';
import type { MergeContext } from './merge-tables.js';
import { supersededIn } from './natural-keys.js';
import { grouped, SortedRows, type Candidate } from './sorted-rows.js';

const MESSAGES = 'zerver_message';
const USERMESSAGES = 'zerver_usermessage';

/** Calls `onPart` with each messages file once it is finished. */
export async function mergeMessages(context: MergeContext, onPart: (part: JournalPart) => void): Promise<void> {
  const streams = context.inputs.map((input) => new MessageStream(input));
  try {
    const groups = grouped(streams.map((stream) => stream.rows));
    let group = groups.next();
    let number = 0;
    do {
      const writer = new MessagesFile(context, streams, ++number);
      try {
        for (let count = 0; group.done !== true && count < MESSAGES_PER_FILE; count++, group = groups.next()) writer.message(group.value);
        onPart(await writer.finish());
      } catch (error) {
        writer.abandon();
        throw error;
      }
      for (const stream of streams) stream.release();
    } while (group.done !== true);
    if (!severalUsers(context.inputs)) for (const stream of streams) stream.refuseLeftUsermessages();
  } finally {
    for (const stream of streams) stream.close();
  }
}

/** The messages of one export, file after file; a file stays open until it is released, for its usermessages. */
class MessageStream {
  readonly rows: SortedRows;
  /** Index of the file that the present row stands in. */
  file = 0;
  readonly input: MergeInput;
  /** Usermessages that belong to messages of the result, so far. */
  taken = 0;
  /** All of the files opened so far. */
  #usermessages = 0;
  readonly #open = new Map<number, TableFile>();

  constructor(input: MergeInput) {
    this.input = input;
    this.rows = new SortedRows(input, MESSAGES, this.#messages());
  }

  /** The files from the first to the last of these, which are open. */
  opened(first: number, last: number): TableFile[] {
    return Array.from({ length: last - first + 1 }, (_, at) => this.#open.get(first + at) as TableFile);
  }

  /** True when the files hold a table for usermessages; a single user's do not. */
  get hasUsermessages(): boolean {
    return [...this.#open.values()].some((file) => file.tables.includes(USERMESSAGES));
  }

  /** Closes the files before the present row's. */
  release(): void {
    for (const [index, file] of this.#open) {
      if (index >= this.file) continue;
      file.close();
      this.#open.delete(index);
    }
  }

  close(): void {
    for (const file of this.#open.values()) file.close();
    this.#open.clear();
  }

  /** A usermessage whose message no file has, or only one that is far from its own, is of no file of the result, and nobody would miss it. */
  refuseLeftUsermessages(): void {
    const left = this.#usermessages - this.taken;
    if (left !== 0) throw new RealmliftError('JSON_DAMAGED', 'merge', `the message of ${counted(left, 'usermessage')} of ${this.input.source.directory} is not in the same file`, { table: USERMESSAGES, hint: 'realmlift verify lists what is wrong with that export: make it again' });
  }

  *#messages(): Generator<Buffer, void> {
    const { directory, messages } = this.input.source;
    for (const [index, entry] of messages.entries()) {
      const file = TableFile.open(join(directory, entry.path), entry);
      this.#open.set(index, file);
      this.#usermessages += file.count(USERMESSAGES);
      this.file = index;
      const unknown = file.tables.find((table) => table !== MESSAGES && table !== USERMESSAGES);
      if (unknown !== undefined) throw new RealmliftError('MERGE_TABLE', 'merge', `${entry.path} has a table that realmlift cannot join`, { table: unknown });
      yield* file.rows(MESSAGES);
    }
  }
}

/** One messages file of the result. */
class MessagesFile {
  readonly #context: MergeContext;
  readonly #streams: readonly MessageStream[];
  readonly #name: string;
  readonly #file: PartFile;
  #count = 0;
  #firstId = NaN;
  #lastId = NaN;
  /** Of each export, the files that messages of this one came from. */
  readonly #sources = new Map<MessageStream, { readonly first: number; last: number }>();
  /** Usermessages made of a single user's flags. */
  readonly #flags: Buffer[] = [];

  constructor(context: MergeContext, streams: readonly MessageStream[], number: number) {
    this.#context = context;
    this.#streams = streams;
    this.#name = messagesPath(number);
    this.#file = new PartFile(join(context.directory, this.#name));
    this.#file.writeText(`{"${MESSAGES}":[`);
  }

  message(versions: readonly Candidate[]): void {
    const choice = choose(versions);
    const { chosen } = choice;
    for (const { input } of versions) {
      const stream = this.#streamOf(input);
      const source = this.#sources.get(stream);
      if (source === undefined) this.#sources.set(stream, { first: stream.file, last: stream.file });
      else source.last = stream.file;
    }
    if (this.#count++ === 0) this.#firstId = chosen.id;
    else this.#file.writeText(',');
    this.#lastId = chosen.id;
    if (severalUsers(this.#context.inputs)) {
      const differing = choice.differing.filter((each) => differentKeys(each, chosen).some((key) => !(USER_FLAGS as readonly string[]).includes(key)));
      this.#context.differences.rows({ ...choice, differing });
      this.#flags.push(...versions.map(flagsAsUsermessage));
      this.#file.write(chosen.fields.without(USER_FLAGS));
    } else {
      this.#context.differences.rows(choice);
      this.#file.write(chosen.row);
    }
  }

  async finish(): Promise<JournalPart> {
    this.#file.writeText(']');
    const rows: Record<string, number> = { [MESSAGES]: this.#count };
    if (severalUsers(this.#context.inputs)) {
      this.#file.writeText(`,"${USERMESSAGES}":[${this.#flags.map(String).join(',')}]`);
      rows[USERMESSAGES] = this.#flags.length;
    } else if (this.#streams.some((stream) => stream.hasUsermessages)) {
      rows[USERMESSAGES] = this.#usermessages();
    }
    this.#file.writeText('}');
    return { path: this.#name, ...(await this.#file.finish()), rows };
  }

  abandon(): void {
    this.#file.abandon();
  }

  #streamOf({ index }: MergeInput): MessageStream {
    return this.#streams[index] as MessageStream;
  }

  #usermessages(): number {
    const superseded = this.#sources.size > 1 ? supersededIn(() => this.#streamsOfUsermessages()) : undefined;
    const { differences, formerAccounts } = this.#context;
    let count = 0;
    this.#file.writeText(`,"${USERMESSAGES}":[`);
    for (const versions of grouped(this.#streamsOfUsermessages())) {
      for (const { input } of versions) this.#streamOf(input).taken++;
      const choice = choose(versions);
      const { chosen } = choice;
      if (superseded?.has(chosen.id) === true) differences.superseded(chosen);
      else if (formerAccounts.size > 0 && formerAccounts.has(chosen.fields.integerOf('user_profile'))) differences.formerAccount(chosen);
      else {
        differences.rows(choice);
        if (count++ > 0) this.#file.writeText(',');
        this.#file.write(chosen.row);
      }
    }
    this.#file.writeText(']');
    return count;
  }

  #streamsOfUsermessages(): SortedRows[] {
    const [firstId, lastId] = [this.#firstId, this.#lastId];
    const mine = (name: string) => (fields: RowFields): boolean => {
      const message = fields.integerOf('message');
      if (Number.isNaN(message)) throw new RealmliftError('JSON_DAMAGED', 'merge', `a usermessage of ${name} names no message`, { table: USERMESSAGES, hint: 'realmlift verify lists what is wrong with that export: make it again' });
      return message >= firstId && message <= lastId;
    };
    return [...this.#sources].flatMap(([stream, { first, last }]) =>
      stream.opened(first, last).map((file) => new SortedRows(stream.input, USERMESSAGES, file.rows(USERMESSAGES), mine(join(stream.input.source.directory, file.name)))));
  }
}

/** What the user of a single-user export did with a message, as a usermessage; the export does not say its id. */
function flagsAsUsermessage({ input, id, fields }: Candidate): Buffer {
  const [flags, mask] = USER_FLAGS.map((key) => fields.find(key)).map((field) => (field === -1 ? 'null' : fields.bytes(field).toString('utf8')));
  return Buffer.from(`{"user_profile":${input.users?.[0] ?? 'null'},"message":${id},"flags":${flags},"flags_mask":${mask}}`);
}

/**
 * A finished export with other ids, as a table of contents: survey -> tables -> messages -> files -> id_maps.json, report, manifest.
 *
 * Two readings: the first finds the ids, the second rewrites every row as it streams by. Users, channels, recipients and the like
 * are mapped in memory; messages and usermessages by sorted pairs on disk (pair-file.ts), so that memory stays the same for
 * any number of them.
 */
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { RealmliftError } from '../errors.js';
import { appendToReport } from '../package/append-member.js';
import { assemble, type Member } from '../package/assemble.js';
import { CONSENT_FILES } from '../package/consent-files.js';
import { rowsByTable, type JournalPart } from '../package/journal.js';
import { MANIFEST, readManifest, writeManifest, type ManifestHeader } from '../package/manifest.js';
import { RUN_DIRECTORY } from '../package/output-directory.js';
import { PartFile } from '../package/part-file.js';
import { treeEntries } from '../package/tree-entries.js';
import type { Catalog } from '../plan/views/catalog.js';
import type { Registry } from '../plan/views/registry.js';
import { areaFileCount, ID_MAPS, openWithoutOrphans, rowBytes, type FinishedExport } from '../pipe/finished-export.js';
import { eachTableFile, withTableFiles } from '../pipe/opened-tables.js';
import { placeFile } from '../pipe/place-file.js';
import type { TableFile } from '../pipe/table-file.js';
import { VERSION } from '../version.js';
import type { Assignment } from './assignment.js';
import { UNCHANGED } from './id-space.js';
import { Outside } from './outside.js';
import { countedIds, knownIds, recordedIds, SAME, type OwnIds } from './own-ids.js';
import { IdMapsWriter, type RecordedMaps } from './recorded-maps.js';
import { ReferenceCatalog, spaceOf } from './reference-catalog.js';
import { REMAPS } from '../package/remapped.js';
import { avatarNames, remapFiles, type FilesContext } from './remap-files.js';
import { rewriteContext, RowRewriter } from './rewrite-row.js';
import { withScratchFiles } from './scratch-files.js';
import { surveyExport, type Survey } from './survey.js';
import { isNarrated, tellPhase, tellProgress } from '../narration.js';
import { REPORT } from '../package/export-files.js';

export interface RemapOptions {
  readonly assignment: Assignment;
  /** Asked before anything is written whether this export may be remapped so; throws if not. */
  readonly check?: (source: FinishedExport, tables: readonly TableFile[]) => void;
  /** The ids of an earlier remapping, instead of new ones; backwards they undo it. */
  readonly recorded?: RecordedMaps | undefined;
  readonly registry: Registry;
  /** The new server's tables; undefined leaves it to what is known of Zulip's releases. */
  readonly catalog: Catalog | undefined;
  /** The avatar_salt by which avatars were named; undefined keeps their names. */
  readonly salt: string | undefined;
  readonly realmName: string | undefined;
  readonly subdomain: string | undefined;
  /** Whether files get a second name or are copied: link only what nobody else will change. */
  readonly files: 'link' | 'copy';
}

export interface RemapResult {
  readonly header: ManifestHeader;
  /** Rows by table. */
  readonly rows: ReadonlyMap<string, number>;
  readonly outside: Outside;
  /** The highest new id by table: the next export's ids may begin above. */
  readonly highest: ReadonlyMap<string, number>;
}

/** So many temporary files hold ids. */
const SCRATCH_FILES = 4;
const MESSAGES = 'zerver_message';
/** Tables whose new ids the new server decides, in an order of its own. They are small. */
const UNITED: ReadonlySet<string> = new Set(['zerver_client', 'zerver_userprofile_crossrealm']);

/**
 * Writes the export in `input` with new ids to `output`, a directory that nobody reads yet: the caller gives it its final name.
 * On failure nothing of it is left.
 *
 * @throws RealmliftError EXPORT_CHANGED, ID_MAP, ID_COLLISION, ID_RANGE, REMAP_UNKNOWN, ROWS_UNSORTED, OUTPUT_EXISTS
 */
export async function remapExport(input: string, output: string, options: RemapOptions): Promise<RemapResult> {
  if (existsSync(output) && readdirSync(output).some((name) => name !== RUN_DIRECTORY)) {
    throw new RealmliftError('OUTPUT_EXISTS', 'remap', `${output} is not empty`, { hint: 'choose a new directory' });
  }
  const source = await openWithoutOrphans(input);
  const scratch = join(output, RUN_DIRECTORY, 'remap');
  const mine = existsSync(join(output, RUN_DIRECTORY)) ? scratch : join(output, RUN_DIRECTORY);
  mkdirSync(scratch, { recursive: true, mode: 0o700 });
  try {
    return await withTableFiles(async (open) => {
      const files = open(source);
      options.check?.(source, files);
      return withScratchFiles(scratch, SCRATCH_FILES, async (fds) => {
        const references = new ReferenceCatalog(options.registry, options.catalog);
        for (const file of files) for (const table of file.tables) references.refuseUnknownTable(table);
        const survey = await surveyExport(source, files, options.assignment, options.recorded, fds);
        return new Remapping(source, files, output, scratch, options, references, survey).run();
      });
    });
  } catch (error) {
    for (const name of readdirSync(output)) if (name !== RUN_DIRECTORY) await rm(join(output, name), { recursive: true });
    throw error;
  } finally {
    await rm(mine, { recursive: true });
  }
}

class Remapping {
  readonly #source: FinishedExport;
  readonly #files: readonly TableFile[];
  readonly #directory: string;
  readonly #scratch: string;
  readonly #options: RemapOptions;
  readonly #outside = new Outside();
  readonly #context: FilesContext;
  readonly #maps: IdMapsWriter;
  readonly #parts = new Map<string, JournalPart>();
  readonly #highest = new Map<string, number>();

  constructor(source: FinishedExport, files: readonly TableFile[], directory: string, scratch: string, options: RemapOptions, references: ReferenceCatalog, survey: Survey) {
    [this.#source, this.#files, this.#directory, this.#scratch, this.#options] = [source, files, directory, scratch, options];
    const names = avatarNames(source, survey.spaces.get('zerver_userprofile') ?? UNCHANGED, options.salt);
    const { realmName, subdomain, files: how } = options;
    this.#context = { ...rewriteContext({ survey, references, outside: this.#outside, avatarNames: names, strays: 'kept', realmName, subdomain }), source, directory, avatarNames: names, how };
    this.#maps = new IdMapsWriter(join(directory, ID_MAPS));
  }

  async run(): Promise<RemapResult> {
    try {
      const sizes = new Map([...this.#source.top.values(), ...this.#source.messages].map(({ path, size }) => [path, size]));
      tellPhase('rows', 'bytes', rowBytes(this.#source));
      for (const file of this.#files) {
        await this.#tables(file);
        tellProgress(sizes.get(file.name) ?? 0);
      }
      for (const file of eachTableFile(this.#source, this.#source.messages)) {
        await this.#messages(file);
        tellProgress(sizes.get(file.name) ?? 0);
      }
      for (const table of [MESSAGES, 'zerver_usermessage']) this.#writePairs(table);
      await this.#maps.finish();
    } catch (error) {
      this.#maps.abandon();
      throw error;
    }
    const header = this.#header();
    tellPhase('uploaded files', 'files', isNarrated() ? await areaFileCount(this.#source) : undefined);
    // The list of files is as long as the realm has files: it goes to disk, in the form that the manifest has anyway.
    const list = join(this.#scratch, 'files.json');
    await writeManifest(list, header, remapFiles(this.#context));
    await this.#others(header);
    await writeManifest(join(this.#directory, MANIFEST), header, treeEntries(this.#directory, (path) => this.#parts.get(path), (await readManifest(list)).files));
    return { header, rows: rowsByTable(this.#parts.values()), outside: this.#outside, highest: this.#highest };
  }

  /** One of realm.json and its like: each table to a part, the parts together to the file. */
  async #tables(file: TableFile): Promise<void> {
    const members: Member[] = [];
    for (const table of file.tables) {
      const part = relative(this.#directory, join(this.#scratch, `${table}.json`));
      const sink = new PartFile(join(this.#directory, part));
      try {
        this.#array(sink, file, table, this.#ownIds(table));
        await sink.finish();
      } catch (error) {
        sink.abandon();
        throw error;
      }
      members.push({ key: table, part, rows: file.count(table) });
    }
    for (const [key, value] of file.constants) members.push({ key, value: JSON.parse(value) as unknown });
    this.#parts.set(file.name, await assemble(this.#directory, file.name, members));
  }

  async #messages(file: TableFile): Promise<void> {
    const sink = new PartFile(join(this.#directory, file.name));
    try {
      file.tables.forEach((table, index) => {
        sink.writeText(`${index === 0 ? '{' : ','}${JSON.stringify(table)}:`);
        this.#array(sink, file, table, knownIds(this.#context.space(table), undefined));
      });
      sink.writeText(file.tables.length === 0 ? '{}' : '}');
      const rows = Object.fromEntries(file.tables.map((table) => [table, file.count(table)]));
      this.#parts.set(file.name, { path: file.name, ...(await sink.finish()), rows });
    } catch (error) {
      sink.abandon();
      throw error;
    }
  }

  #array(sink: PartFile, file: TableFile, table: string, own: OwnIds): void {
    const rewriter = this.#rewriter(table, own);
    let rows = 0;
    sink.writeText('[');
    const rewritten = function* (): Generator<Buffer> {
      for (const row of file.rows(table)) yield rewriter.rewrite(row);
    };
    for (const row of UNITED.has(table) ? byNewId(rewritten(), rewriter) : rewritten()) {
      if (rows++ > 0) sink.writeText(',');
      sink.write(row);
    }
    sink.writeText(']');
    if ('highest' in own) this.#highest.set(table, own.highest as number);
  }

  /** Kept from file to file for the tables of messages: they know their keys then. */
  readonly #rewriters = new Map<string, RowRewriter>();

  #rewriter(table: string, own: OwnIds): RowRewriter {
    let rewriter = this.#rewriters.get(table);
    if (rewriter === undefined) this.#rewriters.set(table, (rewriter = new RowRewriter(table, this.#context, own)));
    return rewriter;
  }

  #ownIds(table: string): OwnIds {
    const { assignment: { all }, recorded } = this.#options;
    const owner = spaceOf(table);
    const space = this.#context.survey.spaces.get(owner);
    const note = (old: number, id: number): void => this.#maps.add(old, id);
    if (space !== undefined) {
      if (space === UNCHANGED) return SAME;
      if (owner === table) this.#writePairs(table);
      else this.#maps.table(table);
      return knownIds(space, owner === table ? undefined : note);
    }
    if (recorded !== undefined) {
      const pairs = recorded.pairs(table);
      this.#maps.table(table);
      return recordedIds(table, pairs, note);
    }
    if (all === undefined) return SAME;
    this.#maps.table(table);
    return countedIds(table, all, note);
  }

  #writePairs(table: string): void {
    const space = this.#context.space(table);
    if (space === UNCHANGED) return;
    this.#maps.table(table);
    let highest = -Infinity;
    for (const [old, id] of space.pairs()) {
      this.#maps.add(old, id);
      highest = Math.max(highest, id);
    }
    if (highest > -Infinity) this.#highest.set(table, highest);
  }

  #header(): ManifestHeader {
    const { header } = this.#source;
    const { assignment: { all, bots, clients }, subdomain, realmName } = this.#options;
    const remap = {
      ids: all !== undefined || this.#options.recorded !== undefined ? 'all' : 'none', bots: bots !== undefined, clients: clients !== undefined,
      ...(subdomain === undefined ? {} : { subdomain, was: header.realm }), ...(realmName === undefined ? {} : { realm_name: realmName }),
    };
    return {
      ...header, realmlift: VERSION, realm: subdomain ?? header.realm, realm_id: this.#context.space('zerver_realm').get(header.realm_id) ?? header.realm_id,
      options: { ...header.options, [REMAPS]: [...((header.options[REMAPS] as object[] | undefined) ?? []), remap] },
    };
  }

  /** Everything else at the top level: copied, but for the list of consenting users and the report. */
  async #others(header: ManifestHeader): Promise<void> {
    const from = (name: string): string => join(this.#source.directory, name);
    const to = (name: string): string => join(this.#directory, name);
    for (const [name, entry] of this.#source.top) {
      if (this.#parts.has(name) || name === ID_MAPS || name === REPORT) continue;
      await placeFile(from(name), this.#directory, name, entry, 'copy');
      if (!CONSENT_FILES.some((each) => each === name)) continue;
      const users = this.#context.space('zerver_userprofile');
      const ids = JSON.parse(await readFile(to(name), 'utf8')) as number[];
      await writeFile(to(name), JSON.stringify(ids.map((id) => users.get(id) ?? id)));
    }
    const { ambiguous, total } = this.#outside;
    const remaps = header.options[REMAPS] as object[];
    await appendToReport(this.#source.top.has(REPORT) ? from(REPORT) : undefined, to(REPORT), `remapped${remaps.length === 1 ? '' : `_${remaps.length}`}`, {
      ...remaps.at(-1), points_outside: total, ambiguous, outside: this.#outside,
    });
  }
}

function byNewId(rows: Iterable<Buffer>, rewriter: RowRewriter): Buffer[] {
  const all: { id: number; row: Buffer }[] = [];
  for (const row of rows) all.push({ id: rewriter.newId, row: Buffer.from(row) });
  return all.sort((a, b) => a.id - b.id).map(({ row }) => row);
}

/** What is asked of a remapping, and what it needs to know before it begins: from the new server, or from a map of ids. */
import { EXIT, RealmliftError } from '../errors.js';
import { loadRegistry, type Registry } from '../plan/views/registry.js';
import type { ZulipVersion } from '../plan/release/zulip-version.js';
import { eachRow } from '../pipe/each-row.js';
import type { TableFile } from '../pipe/table-file.js';
import type { ConnectionSettings } from '../snapshot/connection-settings.js';
import { aboveBase, INTEGER, type Assignment, type BotIds, type NewIds } from './assignment.js';
import { readIdMap, refuseUnfit, type IdMap } from './id-map.js';
import { remapExport, type RemapResult } from './remap-export.js';
import { refuseMisfit, targetVersion } from './target-fit.js';
import { readTarget, type TargetServer } from './target-server.js';

/** zerver/lib/server_initialization.py */
const MAKE_BOTS = `on the new server: manage.py shell -c 'from zerver.lib.server_initialization import create_internal_realm as c; c()'`;

export interface RemapRequest {
  /** Give every row a new id, not only the system bots and clients. */
  readonly all: boolean;
  /** The new server's database, which is only read. */
  readonly target: ConnectionSettings | undefined;
  /** A file that tells the ids of its bots and clients instead. */
  readonly idMap: string | undefined;
  /** New ids are above this one, and above all of the new server. */
  readonly idBase: number | undefined;
  readonly realmName: string | undefined;
  readonly subdomain: string | undefined;
  /** The avatar_salt by which avatars were named; undefined keeps their names. */
  readonly salt: string | undefined;
}

export interface PreparedRemap {
  readonly request: RemapRequest;
  readonly registry: Registry;
  readonly target: TargetServer | undefined;
  readonly map: IdMap | undefined;
  /** Where new ids begin; undefined when nothing says so. */
  readonly ids: NewIds | undefined;
}

/** Zulip's limits of a realm's name and subdomain (zerver_realm.name and string_id are varchar(40)). */
const LONGEST_NAME = 40;

/** @throws RealmliftError USAGE for a request that makes no sense, ID_MAP, ID_RANGE, RIGHT_MISSING, NOT_ZULIP, those of the connection */
export async function prepareRemap(request: RemapRequest): Promise<PreparedRemap> {
  const { target: settings, idMap, idBase, all, realmName, subdomain } = request;
  if (settings !== undefined && idMap !== undefined) refuse('the ids of the new server are either read from it or given', 'leave out --target-url or --id-map');
  if (idBase !== undefined && !all) refuse('--id-base says where the new ids of all rows begin', 'add --remap');
  if (idBase !== undefined && idBase >= INTEGER) refuse(`--id-base ${idBase} leaves no room: most ids are integers up to ${INTEGER}`, 'choose a lower one');
  refuseRealmName(realmName);
  if (subdomain !== undefined && (!/^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/.test(subdomain) || subdomain.length > LONGEST_NAME)) refuse(`a subdomain is made of up to ${LONGEST_NAME} lower-case letters, digits and inner hyphens`, '--subdomain');
  const registry = loadRegistry();
  const map = idMap === undefined ? undefined : readIdMap(idMap);
  const target = settings === undefined ? undefined : await readTarget(settings, registry);
  return { request, registry, target, map, ids: idsOf(idBase, target) };
}

/** @throws RealmliftError USAGE for a name that no realm can have */
export function refuseRealmName(realmName: string | undefined): void {
  if (realmName !== undefined && (realmName.trim() === '' || [...realmName].length > LONGEST_NAME)) refuse(`a realm's name has 1 to ${LONGEST_NAME} characters`, '--realm-name');
}

function refuse(message: string, hint: string): never {
  throw new RealmliftError('USAGE', 'usage', message, { hint, exit: EXIT.usage });
}

function idsOf(idBase: number | undefined, target: TargetServer | undefined): NewIds | undefined {
  if (target === undefined) return idBase === undefined ? undefined : aboveBase(idBase);
  const base = (table: string): number => Math.max(idBase ?? 0, target.ids.base(table));
  return { base, nth: (table, n) => base(table) + n, limit: (table) => target.ids.limit(table) };
}

/** @throws RealmliftError ID_BASE_MISSING when all rows are to get new ids and nothing says where these begin */
export function requireBase({ request: { all }, ids }: PreparedRemap): void {
  if (!all || ids !== undefined) return;
  throw new RealmliftError('ID_BASE_MISSING', 'usage', 'it is not said where the new ids begin', {
    hint: '--target-url URL reads it from the new server; or give --id-base N', exit: EXIT.usage,
  });
}

/** Before an export is made that would not fit. @throws RealmliftError TARGET_VERSION */
export function refuseOtherServer({ target }: PreparedRemap, source: ZulipVersion): void {
  if (target === undefined || target.version.newestMigrationName === source.newestMigrationName) return;
  throw targetVersion(`this server is of Zulip ${source.release} (${source.newestMigrationName}), the new one of ${target.version.release} (${target.version.newestMigrationName})`);
}

export interface RemapPlaces {
  readonly from: string;
  /** A directory that nobody reads yet. */
  readonly to: string;
  readonly files: 'link' | 'copy';
}

/**
 * Writes a finished export anew as it was asked for.
 *
 * @param assignment what decides the ids, when several exports have to agree
 * @throws RealmliftError TARGET_VERSION, ID_MAP, those of {@link remapExport}
 */
export async function applyRemap(prepared: PreparedRemap, { from, to, files }: RemapPlaces, assignment?: Assignment): Promise<RemapResult> {
  const { request: { all, realmName, subdomain, salt }, registry, target, map, ids } = prepared;
  requireBase(prepared);
  return remapExport(from, to, {
    assignment: assignment ?? {
      bots: map?.bots ?? target?.bots, clients: map?.clients ?? target?.clients,
      nextClient: target === undefined ? undefined : (ids as NewIds).base('zerver_client'), all: all ? ids : undefined,
    },
    check: (source, tables) => {
      if (target !== undefined) refuseMisfit(source, tables, target, registry);
      if (target !== undefined) refuseMissingBots(tables, target);
      if (map !== undefined && assignment === undefined) refuseUnfit(map, namesOf(tables));
    },
    registry, catalog: target?.catalog, salt, realmName, subdomain, files,
  });
}

/** Zulip's import makes the system bots of a server that was only installed; their ids are not known before. */
function refuseMissingBots(files: readonly TableFile[], { bots, realms }: TargetServer): void {
  const lacking = [...namesOf(files).bots.keys()].filter((email) => !bots.has(email));
  if (lacking.length === 0) return;
  throw new RealmliftError('TARGET_BOTS', 'remap', `the new server lacks the system bots ${lacking.join(', ')}, whose ids are needed`, {
    hint: realms.length === 0 ? MAKE_BOTS : undefined, exit: EXIT.nothingExported,
  });
}

/** The system bots and clients of an export, as it names them and with their ids there. */
export function namesOf(files: readonly TableFile[]): { readonly bots: Map<string, BotIds>; readonly clients: Map<string, number> } {
  const names = { bots: new Map<string, BotIds>(), clients: new Map<string, number>() };
  for (const fields of eachRow(files, 'zerver_userprofile_crossrealm')) names.bots.set(fields.textOf('email') ?? '', { user: fields.integerOf('id'), recipient: fields.integerOf('recipient_id') });
  for (const fields of eachRow(files, 'zerver_client')) names.clients.set(fields.textOf('name') ?? '', fields.integerOf('id'));
  return names;
}

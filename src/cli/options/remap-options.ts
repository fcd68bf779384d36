/** Options that say how ids are rewritten for another server. */
import type { Command } from 'commander';
import type { RemapRequest } from '../../remap/remap-request.js';
import { newServerSettings } from './new-server.js';
import { wholeNumber } from './whole-number.js';

export interface RemapArguments {
  readonly targetUrl?: string;
  readonly idMap?: string;
  readonly idBase?: number;
  readonly realmName?: string;
  readonly subdomain?: string;
}

export function addRemapOptions(command: Command): Command {
  return addIdOptions(command)
    .option('--realm-name <name>', 'the name of the realm there')
    .option('--subdomain <name>', 'the subdomain of the realm there');
}

/** Those that say which ids there are on the new server. */
export function addIdOptions(command: Command): Command {
  return command
    .optionsGroup('Ids of the new server:')
    .option('--target-url <url>', "the new server's database, which is only read: ids of its system bots and clients, and what ids are taken")
    .option('--id-map <file>', 'JSON that tells the ids of its system bots and clients, where it cannot be reached')
    .option('--id-base <n>', 'new ids of all rows begin above n', wholeNumber(0));
}

/** @throws RealmliftError CONNECTION_STRING */
export function remapRequest({ targetUrl, idMap, idBase, realmName, subdomain }: RemapArguments, all: boolean, salt: string | undefined): RemapRequest {
  return { all, target: targetUrl === undefined ? undefined : newServerSettings(targetUrl), idMap, idBase, realmName, subdomain, salt };
}

/** True when anything was asked for. */
export function asksForRemap(request: RemapRequest): boolean {
  const { all, target, idMap, idBase, realmName, subdomain } = request;
  return all || [target, idMap, idBase, realmName, subdomain].some((each) => each !== undefined);
}
